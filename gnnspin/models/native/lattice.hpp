// Sites in padded rows, blocks of them, and the order in which the layers of an expansion pass over the blocks.
//
// A row of sites is padded on both sides by a halo, which repeats the other end of the row (periodic) or is zero (open),
// so that the neighbours of a block of sites lie side by side as well. An array of features has, for every row, its
// channels one after the other: (rows, channels, room). The last row is zero, for neighbours that do not exist.
#pragma once

#include <vector>
#ifdef _OPENMP
#include <omp.h>
#endif

#include "blocks.hpp"

extern "C" {
struct Rows {
    int64_t count, length, halo, periodic, room;
};
// Where the neighbour of a row's first site is, or the site whose neighbour that is.
struct Place {
    int64_t row, column;
};
}

template <typename T> const T* as(const void* p) { return static_cast<const T*>(p); }
template <typename T> T* as(void* p) { return static_cast<T*>(p); }

// Copies the ends of each row into its halo.
template <typename T> void fill_halo(const Rows& rows, void* features, int64_t channels) {
#pragma omp for schedule(static)
    for (int64_t k = 0; k < rows.count * channels; ++k) {
        T* row = as<T>(features) + k * rows.room + rows.halo;
        for (int64_t s = 0; s < rows.halo; ++s) {  // no longer than the row
            row[-1 - s] = rows.periodic ? row[rows.length - 1 - s] : T(0);
            row[rows.length + s] = rows.periodic ? row[s] : T(0);
        }
    }
}

// What the blocks of all architectures share: their rows, the spins, and the places of neighbours.
template <typename T, int NV> struct BlockOfSites {
    static constexpr int B = NV * Lanes<T>::count;
    static constexpr int B3 = 3 * B;
    const Rows& rows;
    const int64_t room;
    const T* spins;  // 3 channels
    const T* kinds;  // a channel for every kind of site: 1 or 0
    std::vector<T> memory;
    std::vector<const T*> pointers;
    std::vector<T> turned;   // adjoints with the sites as rows, while gradients of weights are summed
    int64_t width, offset;   // length of such a row; numbers before the gradients of this thread
    T S[B3], dS[B3];  // spins, and the adjoints of spins at their own site

    BlockOfSites(const Rows& given, const T* all_spins, const T* all_kinds)
        : rows(given), room(given.room), spins(all_spins), kinds(all_kinds), width(0), offset(0) {}

    // Room for arrays of the given numbers of features.
    template <size_t n> void reserve(const int64_t (&sizes)[n], T** const (&places)[n]) {
        int64_t sum = 0;
        for (int64_t size : sizes) sum += size;
        memory.resize(sum * B);
        T* next = memory.data();
        for (size_t k = 0; k < n; next += sizes[k++] * B) *places[k] = next;
    }

    // Block p of row r in channel c of an array of features.
    T* at(void* features, int64_t channels, int64_t r, int64_t p, int64_t c = 0) const {
        return as<T>(features) + (r * channels + c) * room + rows.halo + p;
    }
    const T* at(const T* features, int64_t channels, int64_t r, int64_t p, int64_t c = 0) const {
        return features + (r * channels + c) * room + rows.halo + p;
    }

    // Rows (displacement, channel) of the neighbours of block p of row r: `number` channels, `step` apart, from `first`.
    int64_t gather(const Place* places, int64_t displacements, int64_t r, int64_t p, const void* features,
                   int64_t channels, int64_t first, int64_t number, int64_t step) {
        int64_t n = 0;
        for (int64_t d = 0; d < displacements; ++d) {
            const Place& place = places[r * displacements + d];
            const T* from = as<T>(features) + (place.row * channels + first) * room + place.column + p;
            for (int64_t c = 0; c < number; ++c) pointers[n++] = from + c * step * room;
        }
        return n;
    }

    // Sums over the displacements of adjoints (displacement, channel) that were sent back to block p of row r, and of
    // those that arose there, if any.
    void sum_sent(const Place* places, int64_t displacements, int64_t r, int64_t p, void* sent, void* own,
                  int64_t channels, void* to) const {
        for (int64_t c = 0; c < channels; ++c) {
            T sum[B] = {};
            if (own) load(at(own, channels, r, p, c), 1, sum);
            for (int64_t d = 0; d < displacements; ++d) {
                const Place& place = places[r * displacements + d];
                const T* from = as<T>(sent) + ((place.row * displacements + d) * channels + c) * room + place.column + p;
                for (int b = 0; b < B; ++b) sum[b] += from[b];
            }
            store(sum, 1, at(to, channels, r, p, c));
        }
    }

    // Lays adjoints (outputs, length), rows `distance` apart, out with the sites as rows.
    void turn(const T* d, int64_t outputs, int64_t distance, int64_t length) {
        constexpr int64_t W = Lanes<T>::count;
        width = (outputs + W - 1) / W * W;
        turned.assign(length * width, T(0));
        for (int64_t o = 0; o < outputs; ++o)
            for (int64_t t = 0; t < length; ++t) turned[t * width + o] = d[o * distance + t];
    }
    // Adds inputs (n, length) times the turned adjoints from row `from` on to a gradient (n, width) of this thread.
    template <typename Inputs>
    void add_gradient(void* gradient, const Inputs& inputs, int64_t n, int64_t length, int64_t from = 0) const {
        outer<T, NV>(inputs, n, length, turned.data() + from * width, width, as<T>(gradient) + offset);
    }
    // Adds the sums of the turned adjoints to row n of a gradient.
    void add_bias_gradient(void* gradient, int64_t n, int64_t length) const {
        T* to = as<T>(gradient) + offset + n * width;
        for (int64_t t = 0; t < length; ++t)
            for (int64_t o = 0; o < width; ++o) to[o] += turned[t * width + o];
    }
    // The gradient of a linear map with bias, of inputs (n, B) and adjoints (outputs, B).
    void add_linear_gradient(void* gradient, const T* inputs, int64_t n, const T* d, int64_t outputs) {
        turn(d, outputs, B, B);
        add_gradient(gradient, Strided<T>{inputs, B}, n, B);
        add_bias_gradient(gradient, n, B);
    }
    // Moves the gradients of this thread, of some blocks, to its sums in double precision.
    void move_gradients(void* gradients, double* totals, int64_t size) const {
        T* mine = as<T>(gradients) + offset;
        for (int64_t k = 0; k < size; ++k) totals[offset + k] += mine[k];
        std::memset(mine, 0, sizeof(T) * size);
    }
    // Zeroes what lies beyond the end of the row in features of block p.
    void cut(int64_t p, int64_t channels, T* features) const {
        for (int64_t b = rows.length - p; b < B; ++b)
            for (int64_t c = 0; c < channels; ++c) features[c * B + b] = T(0);
    }

    void load(const T* from, int64_t channels, T* to) const {
        for (int64_t c = 0; c < channels; ++c) std::memcpy(to + c * B, from + c * room, sizeof(T) * B);
    }
    void store(const T* from, int64_t channels, T* to) const {
        for (int64_t c = 0; c < channels; ++c) std::memcpy(to + c * room, from + c * B, sizeof(T) * B);
    }
};

// Calls `work(row, first site)` for the blocks of all rows; what the last block of a row writes beyond its end is
// overwritten by the halo, or never read.
template <int B, typename Work> void for_blocks(const Rows& rows, Work work) {
    const int64_t per_row = (rows.length + B - 1) / B;
#pragma omp for schedule(dynamic, 1)
    for (int64_t k = 0; k < rows.count * per_row; ++k) work(k / per_row, (k % per_row) * B);
}
// The same with the same blocks for each thread every time, so that sums over the blocks of a thread are the same, too.
template <int B, typename Work> void for_fixed_blocks(const Rows& rows, Work work) {
    const int64_t per_row = (rows.length + B - 1) / B;
#pragma omp for schedule(static)
    for (int64_t k = 0; k < rows.count * per_row; ++k) work(k / per_row, (k % per_row) * B);
}

inline int64_t this_thread() {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

// All layers from number `from` on; with `back` then the way back through all of them, of the adjoints of the site outputs.
//
// A `Block` computes the inside of a layer for one block of sites: `mix` and `halo_inputs` before the messages, `forward`
// up to what is handed on, `backward` (which computes the inside anew), `halo_adjoints`, and `collect` of the adjoints
// that neighbours sent. Where a layer has room for the gradients of its weights, each thread adds its own there.
template <typename T, typename Block>
void run(const Rows& rows, const typename Block::Layer* layers, int64_t count, const T* spins, const T* kinds,
         const T* d_sites, int64_t from, int64_t back, int64_t threads) {
    constexpr int B = Block::B;
#pragma omp parallel num_threads(threads)
    {
        for (int64_t k = from; k < count; ++k) {
            Block block(layers[k], rows, spins, kinds);
            if (Block::mixes && k) for_blocks<B>(rows, [&](int64_t r, int64_t p) { block.mix(r, p); });
            block.halo_inputs();
            if (back && k == count - 1) break;  // its blocks are computed on the way back
            const typename Block::Layer* next = k + 1 < count ? &layers[k + 1] : nullptr;
            for_blocks<B>(rows, [&](int64_t r, int64_t p) { block.forward(r, p, next); });
        }
        for (int64_t k = back ? count - 1 : -1; k >= 0; --k) {
            Block block(layers[k], rows, spins, kinds);
            const typename Block::Layer* next = k + 1 < count ? &layers[k + 1] : nullptr;
            const auto backward = [&](int64_t r, int64_t p) { block.backward(r, p, d_sites, next); };
            const auto collect = [&](int64_t r, int64_t p) { block.collect(r, p); };
            const int64_t size = layers[k].gradient_size;
            if (!size) {
                for_blocks<B>(rows, backward);
                block.halo_adjoints();
                for_blocks<B>(rows, collect);
                continue;
            }
            block.offset = size * this_thread();
            int64_t pending = 0;
            const auto move = [&](int64_t most) {
                if (++pending <= most) return;
                block.move_gradients(layers[k].gradients, as<double>(layers[k].gradient_totals), size);
                pending = 0;
            };
            for_fixed_blocks<B>(rows, [&](int64_t r, int64_t p) { backward(r, p), move(4); });
            block.halo_adjoints();
            for_fixed_blocks<B>(rows, [&](int64_t r, int64_t p) { collect(r, p), move(4); });
            move(0);
        }
    }
}

#define NATIVE_ENTRY(name, BlockType)                                                                              \
    extern "C" {                                                                                                   \
    void name(const Rows* rows, const BlockType<REAL, REGISTERS>::Layer* layers, int64_t count, const REAL* spins, \
              const REAL* kinds, const REAL* d_sites, int64_t from, int64_t back, int64_t threads) {               \
        run<REAL, BlockType<REAL, REGISTERS>>(*rows, layers, count, spins, kinds, d_sites, from, back, threads);   \
    }                                                                                                              \
    int64_t block_length() { return BlockType<REAL, REGISTERS>::B; }                                               \
    int64_t layer_bytes() { return sizeof(BlockType<REAL, REGISTERS>::Layer); }                                    \
    }
