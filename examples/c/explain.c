// Explains an image: prints what the model predicts and where it looked, and writes the map over the image.
//
//     cargo build --release -p cam-c
//     cc examples/c/explain.c -Icrates/cam-c -Ltarget/release -lcam_c -o explain
//     LD_LIBRARY_PATH=target/release ./explain MODEL IMAGE.ppm OVERLAY.ppm [CLASS]
//
// MODEL is a weight file, or `-` for the small built-in model. Images are PPM (P6), which needs no library.

#include "cam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char text[512];

static int failed(enum CamCode code) {
    if (code != CAM_CODE_OK) fprintf(stderr, "error %d: %s\n", (int)code, text);
    return code != CAM_CODE_OK;
}

static uint8_t *read_ppm(const char *path, size_t *width, size_t *height) {
    uint8_t *pixels = NULL;
    FILE *file = fopen(path, "rb");
    if (file != NULL) {
        if (fscanf(file, "P6 %zu %zu 255", width, height) == 2 && fgetc(file) != EOF) {
            size_t bytes = 3 * *width * *height;
            pixels = malloc(bytes);
            if (pixels != NULL && fread(pixels, 1, bytes, file) != bytes) {
                free(pixels);
                pixels = NULL;
            }
        }
        fclose(file);
    }
    return pixels;
}

int main(int count, char **arguments) {
    if (count < 4) {
        fprintf(stderr, "usage: %s MODEL IMAGE.ppm OVERLAY.ppm [CLASS]\n", arguments[0]);
        return 2;
    }
    struct CamModel *model = NULL;
    struct CamExplanation *explanation = NULL;
    uint8_t *overlay = NULL;
    FILE *file = NULL;
    int status = 1;

    size_t width, height;
    uint8_t *pixels = read_ppm(arguments[2], &width, &height);
    if (pixels == NULL) {
        fprintf(stderr, "cannot read %s\n", arguments[2]);
        return 1;
    }
    const char *path = strcmp(arguments[1], "-") == 0 ? NULL : arguments[1];
    if (failed(cam_model_open(path, &model, text, sizeof text))) goto done;

    struct CamOptions options = {0};
    if (count > 4) options.class_name = arguments[4];
    if (failed(cam_explain(model, pixels, width, height, &options, &explanation, text, sizeof text))) goto done;

    for (size_t i = 0; i < cam_prediction_count(explanation); i++) {
        struct CamPrediction prediction;
        if (failed(cam_prediction(explanation, i, &prediction, text, sizeof text))) goto done;
        printf("%5.1f %% %s\n", 100.0 * prediction.probability, prediction.label);
    }
    struct CamMap map;
    if (failed(cam_map(explanation, 0, &map, text, sizeof text))) goto done;
    printf("%s at %s: %zu x %zu, hottest at %zu, %zu\n", map.label, map.layer, map.width, map.height, map.peak_x, map.peak_y);

    overlay = malloc(3 * width * height);
    if (overlay == NULL) goto done;
    if (failed(cam_overlay(explanation, 0, overlay, 3 * width * height, text, sizeof text))) goto done;
    file = fopen(arguments[3], "wb");
    if (file == NULL) {
        fprintf(stderr, "cannot write %s\n", arguments[3]);
        goto done;
    }
    fprintf(file, "P6 %zu %zu 255\n", width, height);
    fwrite(overlay, 3, width * height, file);
    status = 0;

done:
    if (file != NULL && fclose(file) != 0) status = 1;
    free(overlay);
    free(pixels);
    cam_explanation_free(explanation);
    cam_model_free(model);
    return status;
}
