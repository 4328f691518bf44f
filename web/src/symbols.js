// Markers by the letters that matplotlib uses, as drawings that d3 and Plot take for symbols.

import {
  symbolCircle,
  symbolCross,
  symbolDiamond2,
  symbolSquare,
  symbolStar,
  symbolTriangle,
} from "d3-shape";

/** A regular polygon of `size` square pixels, its first corner at an angle from the top. */
function polygon(corners, turned = 0) {
  return {
    draw(context, size) {
      const radius = Math.sqrt((2 * size) / (corners * Math.sin((2 * Math.PI) / corners)));
      for (let i = 0; i < corners; i++) {
        const angle = turned - Math.PI / 2 + (2 * Math.PI * i) / corners;
        const place = [radius * Math.cos(angle), radius * Math.sin(angle)];
        if (i) context.lineTo(...place);
        else context.moveTo(...place);
      }
      context.closePath();
    },
  };
}

/** A thick cross that stands on two of its arms. */
const symbolSaltire = {
  draw(context, size) {
    const step = Math.sqrt(size / 5) / 2;
    const corners = [
      [-3, -1], [-1, -1], [-1, -3], [1, -3], [1, -1], [3, -1], [3, 1], [1, 1], [1, 3], [-1, 3], [-1, 1], [-3, 1],
    ];
    const turn = Math.SQRT1_2 * step;
    corners.forEach(([x, y], i) => {
      const place = [(x - y) * turn, (x + y) * turn];
      if (i) context.lineTo(...place);
      else context.moveTo(...place);
    });
    context.closePath();
  },
};

export const SYMBOLS = {
  o: symbolCircle,
  s: symbolSquare,
  "^": symbolTriangle,
  D: symbolDiamond2,
  v: polygon(3, Math.PI),
  P: symbolCross,
  X: symbolSaltire,
  p: polygon(5),
  h: polygon(6),
  "*": symbolStar,
};
