// Building blocks of the native kernels: products of small matrices with blocks of sites, and the functions of a site
// network. A block is B consecutive sites of one row of the lattice; the sites are the lanes of the vector registers.
#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>

#include "lanes.hpp"

// Rows of a matrix with a fixed distance, or anywhere in memory.
template <typename T> struct Strided {
    const T* first;
    int64_t distance;
    const T* operator()(int64_t i) const { return first + i * distance; }
};
template <typename T> struct Scattered {
    const T* const* rows;
    int64_t shift;
    const T* operator()(int64_t i) const { return rows[i] + shift; }
};

enum Start { ZERO, BIAS, ADD };

// out (MO, B) = start + weight (MO, n) @ rows (n, B), all accumulators in registers.
template <typename T, int NV, int MO, Start start, typename Rows>
inline void product_tile(const T* weight, int64_t n, const Rows& rows, const T* bias, T* out, int64_t distance) {
    using V = typename Lanes<T>::type;
    constexpr int W = Lanes<T>::count;
    V sum[MO][NV];
    for (int o = 0; o < MO; ++o)
        for (int v = 0; v < NV; ++v) {
            if (start == ADD) sum[o][v] = *reinterpret_cast<const V*>(out + o * distance + v * W);
            else sum[o][v] = (start == BIAS ? bias[o] : T(0)) + V{};
        }
    for (int64_t i = 0; i < n; ++i) {
        const T* row = rows(i);
        V x[NV];
        for (int v = 0; v < NV; ++v) x[v] = *reinterpret_cast<const V*>(row + v * W);
        for (int o = 0; o < MO; ++o) {
            const T w = weight[o * n + i];
            for (int v = 0; v < NV; ++v) sum[o][v] += w * x[v];
        }
    }
    for (int o = 0; o < MO; ++o)
        for (int v = 0; v < NV; ++v) *reinterpret_cast<V*>(out + o * distance + v * W) = sum[o][v];
}

// The tile of `outputs` rows, at most MO.
template <typename T, int NV, int MO, Start start, typename Rows>
inline void product_of(int64_t outputs, const T* weight, int64_t n, const Rows& rows, const T* bias, T* out,
                       int64_t distance) {
    if constexpr (MO > 0) {
        if (outputs == MO) product_tile<T, NV, MO, start>(weight, n, rows, bias, out, distance);
        else product_of<T, NV, MO - 1, start>(outputs, weight, n, rows, bias, out, distance);
    }
}

// out (outputs, B) = start + weight (outputs, n) @ rows (n, B), in tiles of nearly equal size: few accumulators would wait
// for each other.
template <typename T, int NV, Start start, typename Rows>
inline void product(const T* weight, int64_t outputs, int64_t n, const Rows& rows, T* out, int64_t distance,
                    const T* bias = nullptr) {
    constexpr int MO = ACCUMULATORS / NV;
    int64_t o = 0;
    for (int64_t tiles = (outputs + MO - 1) / MO; tiles > 0; --tiles) {
        const int64_t size = (outputs - o + tiles - 1) / tiles;
        product_of<T, NV, MO, start>(size, weight + o * n, n, rows, bias ? bias + o : bias, out + o * distance, distance);
        o += size;
    }
}

// The same for features (n, 3, B) that have three components: out (outputs, 3, B).
template <typename T, int NV, Start start>
inline void product3(const T* weight, int64_t outputs, int64_t n, const T* features, T* out) {
    constexpr int B = NV * Lanes<T>::count;
    for (int x = 0; x < 3; ++x)
        product<T, NV, start>(weight, outputs, n, Strided<T>{features + x * B, 3 * B}, out + x * B, 3 * B);
}

// sums (MO, NV registers) += rows first, first + 1, ... of `rows`, of `length` numbers, @ columns of `turned` (length, width).
template <typename T, int NV, int MO, typename Rows>
inline void outer_tile(const Rows& rows, int64_t first, int64_t length, const T* turned, int64_t width, T* sums) {
    using V = typename Lanes<T>::type;
    constexpr int W = Lanes<T>::count;
    V sum[MO][NV];
    const T* row[MO];
    for (int o = 0; o < MO; ++o) {
        row[o] = rows(first + o);
        for (int v = 0; v < NV; ++v) sum[o][v] = *reinterpret_cast<const V*>(sums + (first + o) * width + v * W);
    }
    for (int64_t t = 0; t < length; ++t) {
        V x[NV];
        for (int v = 0; v < NV; ++v) x[v] = *reinterpret_cast<const V*>(turned + t * width + v * W);
        for (int o = 0; o < MO; ++o)
            for (int v = 0; v < NV; ++v) sum[o][v] += row[o][t] * x[v];
    }
    for (int o = 0; o < MO; ++o)
        for (int v = 0; v < NV; ++v) *reinterpret_cast<V*>(sums + (first + o) * width + v * W) = sum[o][v];
}
template <typename T, int NV, int MO, typename Rows>
inline void outer_of(int64_t n, const Rows& rows, int64_t first, int64_t length, const T* turned, int64_t width, T* sums) {
    if constexpr (MO > 0) {
        if (n == MO) outer_tile<T, NV, MO>(rows, first, length, turned, width, sums);
        else outer_of<T, NV, MO - 1>(n, rows, first, length, turned, width, sums);
    }
}

// sums (n, width) += rows (n, length) @ turned (length, width); width is a multiple of the lanes of a register.
template <typename T, int NV, typename Rows>
inline void outer(const Rows& rows, int64_t n, int64_t length, const T* turned, int64_t width, T* sums, int64_t column = 0) {
    constexpr int W = Lanes<T>::count, MO = ACCUMULATORS / NV;
    for (; column + NV * W <= width; column += NV * W) {
        int64_t first = 0;
        for (int64_t tiles = (n + MO - 1) / MO; tiles > 0; --tiles) {
            const int64_t size = (n - first + tiles - 1) / tiles;
            outer_of<T, NV, MO>(size, rows, first, length, turned + column, width, sums + column);
            first += size;
        }
    }
    if constexpr (NV > 1)
        if (column < width) outer<T, NV - 1>(rows, n, length, turned, width, sums, column);
}

// exp(x) lane by lane, to rounding: 2^k times a Taylor polynomial on |r| < ln(2) / 2.
inline float exponential(float x) {
    x = x > 88.0f ? 88.0f : (x < -87.0f ? -87.0f : x);
    const float shifted = x * 1.44269504089f + 12582912.0f, k = shifted - 12582912.0f;
    const float r = (x - k * 0.693359375f) + k * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    int32_t bits = (static_cast<int32_t>(k) + 127) << 23;
    float scale;
    std::memcpy(&scale, &bits, sizeof scale);
    return p * scale;
}
inline double exponential(double x) { return std::exp(x); }

// Values x sigmoid(x) and slopes of B numbers; the slopes replace the arguments.
template <typename T, int B> inline void silu(T* argument, T* value) {
    for (int s = 0; s < B; ++s) {
        const T x = argument[s], sigmoid = T(1) / (T(1) + exponential(-x));
        value[s] = x * sigmoid;
        argument[s] = sigmoid * (T(1) + x * (T(1) - sigmoid));
    }
}
