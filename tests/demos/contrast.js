// Every visible text whose contrast with what lies behind it is below WCAG 2.1's AA (success criterion 1.4.3): [text, ratio].
const luminance = (color) => {
  const [red, green, blue] = color.map((value) => {
    const share = value / 255;
    return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
};
// Any CSS colour as [red, green, blue] from 0 to 255, and its opacity.
const paint = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const parsed = (text) => {
  paint.clearRect(0, 0, 1, 1);
  paint.fillStyle = text;
  paint.fillRect(0, 0, 1, 1);
  const [red, green, blue, opacity] = paint.getImageData(0, 0, 1, 1).data;
  return [[red, green, blue], opacity / 255];
};
const over = (top, opacity, under) => top.map((value, i) => value * opacity + under[i] * (1 - opacity));
const behind = (element) => {
  const layers = [];
  for (let node = element; node; node = node.parentElement) {
    layers.push(parsed(getComputedStyle(node).backgroundColor));
    if (layers.at(-1)[1] === 1) break;
  }
  return layers.reverse().reduce((under, [color, opacity]) => over(color, opacity, under), [255, 255, 255]);
};
const seen = (element) =>
  element.checkVisibility({ opacityProperty: true, visibilityProperty: true }) &&
  !element.closest("script, style, noscript, :disabled");
const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
const counted = [];
const faint = [];
for (let node; (node = texts.nextNode()); ) {
  const element = node.parentElement;
  if (!node.textContent.trim() || !seen(element)) continue;
  const style = getComputedStyle(element);
  const background = behind(element);
  const [color, opacity] = parsed(style.color);
  const levels = [luminance(over(color, opacity, background)), luminance(background)].sort((a, b) => b - a);
  const ratio = (levels[0] + 0.05) / (levels[1] + 0.05);
  const size = parseFloat(style.fontSize);
  const large = size >= 24 || (size >= 18.66 && parseInt(style.fontWeight) >= 700);
  counted.push(node.textContent.trim());
  if (ratio < (large ? 3 : 4.5)) faint.push([node.textContent.trim(), ratio]);
}
return [counted.length, faint];
