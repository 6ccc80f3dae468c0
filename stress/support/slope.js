"use strict";

/**
 * The straight line that fits best (least squares), and how sure its slope is.
 *
 * @param {[number, number][]} points x, y; three or more
 * @returns {{ slope: number, error: number, mean: number }} `error` is the standard error of the slope, `mean` that of y
 */
function fit(points) {
  const count = points.length;
  const meanX = points.reduce((total, [x]) => total + x, 0) / count;
  const mean = points.reduce((total, [, y]) => total + y, 0) / count;
  let covariance = 0;
  let variance = 0;
  for (const [x, y] of points) {
    covariance += (x - meanX) * (y - mean);
    variance += (x - meanX) ** 2;
  }
  const slope = covariance / variance;
  const rest = points.reduce((total, [x, y]) => total + (y - mean - slope * (x - meanX)) ** 2, 0);
  return { slope, error: Math.sqrt(rest / (count - 2) / variance), mean };
}

module.exports = { fit };
