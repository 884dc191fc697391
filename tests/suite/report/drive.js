// Uses the page as a person does, and leaves what it saw as text.
(async () => {
  while (!document.documentElement.dataset.ready) await new Promise((next) => setTimeout(next, 20));
  const all = (selector) => document.querySelectorAll(selector);
  const article = all("article")[0];
  const view = article.querySelector(".view");
  const pixels = () => [...view.getContext("2d").getImageData(0, 0, view.width, view.height).data];
  const slide = (value) => {
    const slider = article.querySelector(".share");
    slider.value = value;
    slider.dispatchEvent(new Event("input", { bubbles: true }));
    return pixels();
  };
  const check = (value) => article.querySelector(`.choices [value=${value}]`).click();
  const reading = () => article.querySelector(".reading").textContent.replace(/\s+/g, " ");

  const photo = document.createElement("canvas");
  [photo.width, photo.height] = [view.width, view.height];
  const pen = photo.getContext("2d");
  const picture = new Image();
  picture.src = report.images[0].photo;
  await picture.decode();
  pen.drawImage(picture, 0, 0, photo.width, photo.height);
  const plain = [...pen.getImageData(0, 0, photo.width, photo.height).data];
  const same = (a, b, places) => places.every((place) => Math.abs(a[place] - b[place]) <= 2);
  const everywhere = [...plain.keys()];
  const [none, full] = [slide(0), slide(100)];
  check("wipe");
  const wiped = slide(50);
  const right = everywhere.filter((place) => Math.floor(place / 4) % view.width > view.width / 2);
  const left = everywhere.filter((place) => Math.floor(place / 4) % view.width < view.width / 2 - 1);
  check("blend");

  // The middle of the cell in column 3 and row 5 of 16 x 16.
  const box = view.getBoundingClientRect();
  const at = { clientX: box.left + (3.5 / 16) * box.width, clientY: box.top + (5.5 / 16) * box.height, bubbles: true };
  view.dispatchEvent(new PointerEvent("pointermove", at));
  const read = reading();
  view.dispatchEvent(new KeyboardEvent("keydown", { key: "ArrowRight", bubbles: true }));
  const stepped = reading();
  all(".maps input")[1].click();
  const link = article.querySelector(".permalink").getAttribute("href");
  const pick = (part, value) => {
    const menu = article.querySelector(`.pick-${part} select`);
    menu.value = value;
    menu.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const beside = article.querySelector(".beside");
  const alone = beside.hidden && article.querySelector(".chosen figcaption").hidden;
  pick("beside", "0");
  const besides = [alone, beside.hidden, beside.querySelector("canvas").width === view.width];
  const picked = report.images[0].maps.map((map, at) => {
    pick("method", map.method);
    pick("layer", map.layer);
    pick("class", map.label);
    return article.querySelector(".permalink").getAttribute("href") === `#picture-0/map-${at}`;
  });
  all(".maps input")[1].click();

  location.hash = "#picture-1/map-3";
  await new Promise((next) => setTimeout(next, 50));
  const second = all("article")[1];
  const followed = [second.querySelector(".permalink").getAttribute("href"), Math.round(second.getBoundingClientRect().top)];

  const seen = {
    title: document.title,
    articles: all("article").length,
    choices: all(".maps label").length,
    guesses: all(".guesses li").length,
    scripts: all("script").length,
    images: all("img").length,
    photo_at_0: same(none, plain, everywhere),
    moved: !same(none, full, everywhere),
    wiped: same(wiped, plain, right) && !same(wiped, plain, left),
    read,
    stepped,
    link,
    besides,
    named: [article.querySelector(".chosen figcaption").hidden, beside.querySelector("figcaption").textContent],
    followed,
    picked: picked.every((right) => right),
    chosen: article.querySelector("dl.map a").textContent,
  };
  const text = Object.assign(document.createElement("pre"), { id: "seen", textContent: JSON.stringify(seen) });
  document.body.append(text);
})();
