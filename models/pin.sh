#!/usr/bin/env bash
# Writes the sha256 of published weights into the model cards that have none, where the Hugging Face hub can be reached. With it the
# weights are checked against the card and not against what the hub says. `cam models` marks the cards without.
#
#   models/pin.sh                      # HF_ENDPOINT names a mirror
#
# Look at the difference before you commit it: a hash that changes later is weights that were replaced.
set -euo pipefail
cd "$(dirname "$0")/.."

hub=${HF_ENDPOINT:-https://huggingface.co}
failed=0
# The hub names large files by their sha256, in the answer that redirects to the contents.
published() {
    curl --silent --show-error --head --max-redirs 0 --connect-timeout 10 --max-time 30 "$hub/$1/resolve/main/model.safetensors" |
        tr -d '\r"' | sed -n 's/^[Xx]-[Ll]inked-[Ee][Tt]ag: *\([0-9a-f]\{64\}\)$/\1/p'
}
for cards in crates/cam-models/src/zoo/*.toml; do
    # The line of each repository that no hash follows.
    while IFS=: read -r line repository; do
        if hash=$(published "$repository") && [ -n "$hash" ]; then
            sed -i "${line}a sha256 = \"$hash\"" "$cards"
            echo "$repository $hash"
        else
            echo "pin.sh: the hub does not say the sha256 of $repository" >&2
            failed=1
        fi
    done < <(awk -F'"' '/^sha256 = / { delete found[last] } /^hub = / { last = NR; found[NR] = $2 } END { for (line in found) print line ":" found[line] }' "$cards" | sort -rn)
done
exit $failed
