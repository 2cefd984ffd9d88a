// Complex matrices with real and imaginary parts in two planes: products, and inverses of small ones.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>

#include "lanes.hpp"

// Largest matrix that `inverted` takes.
constexpr int BLOCK = 32;

// Rows of a matrix; a row is padded to whole vectors.
template <typename T> struct Planes {
    T *re, *im;
    int64_t distance;
    Planes at(int64_t row, int64_t column) const {
        return {re + row * distance + column, im + row * distance + column, distance};
    }
};

template <typename T> inline int64_t padded(int64_t n) {
    return (n + Lanes<T>::count - 1) / Lanes<T>::count * Lanes<T>::count;
}

// MO rows and NV vectors of C = (add ? C : 0) + sign A B, all in registers; A has n columns.
template <typename T, int NV, int MO>
inline void complex_tile(Planes<T> c, Planes<T> a, Planes<T> b, int64_t n, T sign, bool add) {
    using V = typename Lanes<T>::type;
    constexpr int W = Lanes<T>::count;
    V re[MO][NV] = {}, im[MO][NV] = {};
    for (int64_t k = 0; k < n; ++k) {
        V x[NV], y[NV];
        for (int v = 0; v < NV; ++v) {
            x[v] = *reinterpret_cast<const V*>(b.re + k * b.distance + v * W);
            y[v] = *reinterpret_cast<const V*>(b.im + k * b.distance + v * W);
        }
        for (int i = 0; i < MO; ++i) {
            const T p = a.re[i * a.distance + k], q = a.im[i * a.distance + k];
            for (int v = 0; v < NV; ++v) {
                re[i][v] += p * x[v];
                im[i][v] += p * y[v];
                re[i][v] -= q * y[v];
                im[i][v] += q * x[v];
            }
        }
    }
    for (int i = 0; i < MO; ++i)
        for (int v = 0; v < NV; ++v) {
            V& u = *reinterpret_cast<V*>(c.re + i * c.distance + v * W);
            V& w = *reinterpret_cast<V*>(c.im + i * c.distance + v * W);
            u = add ? u + sign * re[i][v] : sign * re[i][v];
            w = add ? w + sign * im[i][v] : sign * im[i][v];
        }
}

template <typename T, int NV, int MO>
inline void complex_rows(int64_t rows, Planes<T> c, Planes<T> a, Planes<T> b, int64_t n, T sign, bool add) {
    if constexpr (MO > 0) {
        if (rows == MO) complex_tile<T, NV, MO>(c, a, b, n, sign, add);
        else complex_rows<T, NV, MO - 1>(rows, c, a, b, n, sign, add);
    }
}

template <typename T, int NV>
inline void complex_panel(int64_t rows, Planes<T> c, Planes<T> a, Planes<T> b, int64_t n, T sign, bool add) {
    constexpr int MO = ACCUMULATORS / (2 * NV);
    int64_t i = 0;
    for (int64_t tiles = (rows + MO - 1) / MO; tiles > 0; --tiles) {
        const int64_t m = (rows - i + tiles - 1) / tiles;
        complex_rows<T, NV, MO>(m, c.at(i, 0), a.at(i, 0), b, n, sign, add);
        i += m;
    }
}

// C (rows, columns) = (add ? C : 0) + sign A (rows, n) B (n, columns); whole vectors of C, which is none of the others,
// are written.
template <typename T>
inline void complex_product(int64_t rows, int64_t columns, int64_t n, Planes<T> c, Planes<T> a, Planes<T> b, T sign,
                            bool add) {
    constexpr int W = Lanes<T>::count, DEPTH = 64;  // rows of B that stay in the first cache
    const int64_t vectors = padded<T>(columns) / W;
    for (int64_t v = 0; v < vectors; v += 2)
        for (int64_t k = 0; k == 0 || k < n; k += DEPTH) {
            const int64_t depth = std::min<int64_t>(DEPTH, n - k);
            const Planes<T> to = c.at(0, v * W), right = b.at(k, v * W);
            if (v + 1 < vectors) complex_panel<T, 2>(rows, to, a.at(0, k), right, depth, sign, add || k > 0);
            else complex_panel<T, 1>(rows, to, a.at(0, k), right, depth, sign, add || k > 0);
        }
}

// A (n, n) becomes its inverse, by Gauss and Jordan with the largest pivot of each column; log|det A|. With `angle` the
// pivots are those of the diagonal, and their angles are added to it: that of det A where A has a positive imaginary
// part, as all pivots lie in the upper half plane.
template <typename T> inline double inverted(int64_t n, Planes<T> a, double* angle) {
    int64_t exchanged[BLOCK];
    double logarithm = 0;
    const int64_t m = padded<T>(n);
    for (int64_t k = 0; k < n; ++k) {
        int64_t best = k;
        T largest = -1;
        for (int64_t i = k; i < (angle ? k + 1 : n); ++i) {
            const T x = a.re[i * a.distance + k], y = a.im[i * a.distance + k], size = x * x + y * y;
            if (size > largest) largest = size, best = i;
        }
        exchanged[k] = best;
        T *re = a.re + k * a.distance, *im = a.im + k * a.distance;
        if (best != k) {
            std::swap_ranges(re, re + n, a.re + best * a.distance);
            std::swap_ranges(im, im + n, a.im + best * a.distance);
        }
        logarithm += 0.5 * std::log(double(largest));
        if (angle) *angle += std::atan2(double(im[k]), double(re[k]));
        const T p = re[k] / largest, q = -im[k] / largest;
        re[k] = 1, im[k] = 0;
        for (int64_t j = 0; j < m; ++j) {
            const T x = re[j], y = im[j];
            re[j] = p * x - q * y, im[j] = p * y + q * x;
        }
        for (int64_t i = 0; i < n; ++i) {
            if (i == k) continue;
            T *__restrict__ x = a.re + i * a.distance, *__restrict__ y = a.im + i * a.distance;
            const T *__restrict__ u = re, *__restrict__ w = im;
            const T f = x[k], g = y[k];
            x[k] = 0, y[k] = 0;
            for (int64_t j = 0; j < m; ++j) {
                x[j] -= f * u[j] - g * w[j];
                y[j] -= f * w[j] + g * u[j];
            }
        }
    }
    for (int64_t k = n; k-- > 0;)
        if (exchanged[k] != k)
            for (int64_t i = 0; i < n; ++i) {
                std::swap(a.re[i * a.distance + k], a.re[i * a.distance + exchanged[k]]);
                std::swap(a.im[i * a.distance + k], a.im[i * a.distance + exchanged[k]]);
            }
    return logarithm;
}
