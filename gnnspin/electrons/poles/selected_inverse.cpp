// Diagonal 2x2 blocks of (z - K - X)^-1 and log det along a dissection, one matrix at a time.
//
// A front (p + b rows, pivots first) is swept over its pivots, block by block: Gauss-Jordan elimination, which leaves
// A_PP^-1, U = A_PP^-1 A_PB, -L = -A_BP A_PP^-1 and the update A_BB - A_BP U where the four blocks of A were. Its
// parent takes the update, and later gives the inverse on the boundary back. No front is padded, and one matrix stays
// in the caches from its leaves to its root.

#include <cstdint>
#include <vector>

#ifdef _OPENMP
#include <omp.h>
#endif

#include "complex_blocks.hpp"

typedef REAL T;

// Of every front, children before parents: its sizes, parent (-1: none), children, and where its parts begin in the
// tables below.
struct Plan {
    int64_t fronts, orbitals_total;
    const int64_t *pivots, *boundary, *parent, *first_child, *child, *place, *distance;
    const int64_t *first_entry, *entry_row, *entry_column;  // own entries of -K
    const double *entry_re, *entry_im;
    const int64_t *first_orbital, *orbital, *orbital_row;   // pivots by pairs
    const int64_t *first_run, *run_here, *run_there, *run_length;  // boundary rows in the parent's front
    int64_t workspace, largest_pivots, largest_boundary, largest_size;
};

namespace {

struct Scratch {
    std::vector<T> memory;
    Planes<T> block, column, rows, outer, corner, cross, inverse;

    explicit Scratch(const Plan& plan) {
        const int64_t p = padded<T>(plan.largest_pivots), b = padded<T>(plan.largest_boundary);
        const int64_t s = padded<T>(plan.largest_size), w = padded<T>(BLOCK);
        const int64_t sizes[][2] = {{BLOCK, w}, {plan.largest_size, w}, {BLOCK, s}, {plan.largest_boundary, b},
                                    {plan.largest_boundary, p}, {plan.largest_pivots, b}, {plan.largest_pivots, p}};
        int64_t total = 0;
        for (const auto& size : sizes) total += 2 * size[0] * size[1];
        memory.assign(total, T(0));
        T* next = memory.data();
        Planes<T>* all[] = {&block, &column, &rows, &outer, &corner, &cross, &inverse};
        for (int k = 0; k < 7; ++k) {
            const int64_t n = sizes[k][0] * sizes[k][1];
            *all[k] = {next, next + n, sizes[k][1]};
            next += 2 * n;
        }
    }
};

inline Planes<T> front_of(const Plan& plan, int64_t f, T* work) {
    const int64_t size = (plan.pivots[f] + plan.boundary[f]) * plan.distance[f];
    T* start = work + plan.place[f];
    return {start, start + size, plan.distance[f]};
}

// Gauss-Jordan elimination of the first p rows and columns; log|det| of the pivots, and their angle if asked for.
double sweep(Planes<T> front, int64_t p, int64_t size, const Scratch& scratch, double* angle) {
    double logarithm = 0;
    const int64_t parts = (p + BLOCK - 1) / BLOCK;
    int64_t first = 0;
    for (int64_t part = parts; part > 0; --part) {
        const int64_t w = (p - first + part - 1) / part, last = first + w, m = padded<T>(w);
        const Planes<T> block = scratch.block, column = scratch.column, rows = scratch.rows;
        for (int64_t i = 0; i < size; ++i) {
            const Planes<T> from = front.at(i, first), to = column.at(i, 0);
            for (int64_t j = 0; j < w; ++j) {
                to.re[j] = from.re[j], to.im[j] = from.im[j];
                from.re[j] = 0, from.im[j] = 0;
            }
        }
        for (int64_t i = 0; i < w; ++i)
            for (int64_t j = 0; j < m; ++j) {
                block.re[i * block.distance + j] = j < w ? column.re[(first + i) * column.distance + j] : 0;
                block.im[i * block.distance + j] = j < w ? column.im[(first + i) * column.distance + j] : 0;
            }
        logarithm += inverted<T>(w, block, angle);
        complex_product<T>(w, size, w, rows, block, front.at(first, 0), 1, false);
        for (int64_t i = 0; i < w; ++i) {
            std::memcpy(rows.re + i * rows.distance + first, block.re + i * block.distance, w * sizeof(T));
            std::memcpy(rows.im + i * rows.distance + first, block.im + i * block.distance, w * sizeof(T));
        }
        complex_product<T>(first, size, w, front, column, rows, -1, true);
        complex_product<T>(size - last, size, w, front.at(last, 0), column.at(last, 0), rows, -1, true);
        const int64_t bytes = padded<T>(size) * sizeof(T);
        for (int64_t i = 0; i < w; ++i) {
            std::memcpy(front.re + (first + i) * front.distance, rows.re + i * rows.distance, bytes);
            std::memcpy(front.im + (first + i) * front.distance, rows.im + i * rows.distance, bytes);
        }
        first = last;
    }
    return logarithm;
}

// Boundary of a front and the same rows and columns of its parent, run by run: each(own piece, its piece, length).
template <typename Do>
inline void along_runs(const Plan& plan, int64_t f, Planes<T> own, Planes<T> parent, Do each) {
    const int64_t begin = plan.first_run[f], end = plan.first_run[f + 1];
    for (int64_t r = begin; r < end; ++r)
        for (int64_t i = 0; i < plan.run_length[r]; ++i)
            for (int64_t c = begin; c < end; ++c)
                each(own.at(plan.run_here[r] + i, plan.run_here[c]),
                     parent.at(plan.run_there[r] + i, plan.run_there[c]), plan.run_length[c]);
}

void assemble(const Plan& plan, int64_t f, Planes<T> front, const T* shift, const T* exchange) {
    for (int64_t e = plan.first_entry[f]; e < plan.first_entry[f + 1]; ++e) {
        const int64_t at = plan.entry_row[e] * front.distance + plan.entry_column[e];
        front.re[at] += T(plan.entry_re[e]), front.im[at] += T(plan.entry_im[e]);
    }
    for (int64_t o = plan.first_orbital[f]; o < plan.first_orbital[f + 1]; ++o) {
        const T* own = exchange + 8 * plan.orbital[o];
        for (int64_t i = 0; i < 2; ++i)
            for (int64_t j = 0; j < 2; ++j) {
                const int64_t at = (plan.orbital_row[o] + i) * front.distance + plan.orbital_row[o] + j;
                front.re[at] += (i == j ? shift[0] : 0) - own[4 * i + 2 * j];
                front.im[at] += (i == j ? shift[1] : 0) - own[4 * i + 2 * j + 1];
            }
    }
}

void write_blocks(const Plan& plan, int64_t f, Planes<T> inverse, T* blocks) {
    for (int64_t o = plan.first_orbital[f]; o < plan.first_orbital[f + 1]; ++o)
        for (int64_t i = 0; i < 2; ++i)
            for (int64_t j = 0; j < 2; ++j) {
                const int64_t at = (plan.orbital_row[o] + i) * inverse.distance + plan.orbital_row[o] + j;
                blocks[8 * plan.orbital[o] + 4 * i + 2 * j] = inverse.re[at];
                blocks[8 * plan.orbital[o] + 4 * i + 2 * j + 1] = inverse.im[at];
            }
}

double upwards(const Plan& plan, T* work, const T* shift, const T* exchange, const Scratch& scratch, double* angle) {
    double logarithm = 0;
    for (int64_t f = 0; f < plan.fronts; ++f) {
        const int64_t p = plan.pivots[f], size = p + plan.boundary[f];
        const Planes<T> front = front_of(plan, f, work);
        std::memset(front.re, 0, 2 * size * front.distance * sizeof(T));
        assemble(plan, f, front, shift, exchange);
        for (int64_t k = plan.first_child[f]; k < plan.first_child[f + 1]; ++k) {
            const int64_t child = plan.child[k], own = plan.pivots[child];
            const Planes<T> update = front_of(plan, child, work).at(own, own);
            along_runs(plan, child, update, front, [](Planes<T> from, Planes<T> to, int64_t length) {
                for (int64_t j = 0; j < length; ++j) to.re[j] += from.re[j], to.im[j] += from.im[j];
            });
        }
        logarithm += sweep(front, p, size, scratch, angle);
    }
    return logarithm;
}

void downwards(const Plan& plan, T* work, T* blocks, const Scratch& scratch) {
    for (int64_t f = plan.fronts; f-- > 0;) {
        const int64_t p = plan.pivots[f], b = plan.boundary[f];
        const Planes<T> front = front_of(plan, f, work);
        if (plan.parent[f] < 0) {
            write_blocks(plan, f, front, blocks);
            continue;
        }
        const Planes<T> outer = {scratch.outer.re, scratch.outer.im, padded<T>(b)};
        const Planes<T> corner = {scratch.corner.re, scratch.corner.im, padded<T>(p)};
        const Planes<T> parent = front_of(plan, plan.parent[f], work);
        along_runs(plan, f, outer, parent, [](Planes<T> to, Planes<T> from, int64_t length) {
            for (int64_t j = 0; j < length; ++j) to.re[j] = from.re[j], to.im[j] = from.im[j];
        });
        complex_product<T>(b, p, b, corner, outer, front.at(p, 0), 1, false);  // G_BP = G_BB (-L)
        const Planes<T> inverse = {scratch.inverse.re, scratch.inverse.im, padded<T>(p)};
        complex_product<T>(p, p, b, inverse, front.at(0, p), corner, -1, false);  // G_PP = A_PP^-1 - U G_BP
        for (int64_t i = 0; i < p; ++i) {
            const Planes<T> row = front.at(i, 0), added = inverse.at(i, 0);
            for (int64_t j = 0; j < p; ++j) row.re[j] += added.re[j], row.im[j] += added.im[j];
        }
        write_blocks(plan, f, front, blocks);
        if (plan.first_child[f] == plan.first_child[f + 1]) continue;
        const Planes<T> cross = {scratch.cross.re, scratch.cross.im, padded<T>(b)};
        complex_product<T>(p, b, b, cross, front.at(0, p), outer, -1, false);  // G_PB = -U G_BB
        for (int64_t i = 0; i < p; ++i) {
            const Planes<T> row = front.at(i, 0);
            std::memcpy(row.re + p, cross.re + i * cross.distance, b * sizeof(T));
            std::memcpy(row.im + p, cross.im + i * cross.distance, b * sizeof(T));
        }
        for (int64_t i = 0; i < b; ++i) {
            const Planes<T> row = front.at(p + i, 0);
            std::memcpy(row.re, corner.re + i * corner.distance, p * sizeof(T));
            std::memcpy(row.im, corner.im + i * corner.distance, p * sizeof(T));
            std::memcpy(row.re + p, outer.re + i * outer.distance, b * sizeof(T));
            std::memcpy(row.im + p, outer.im + i * outer.distance, b * sizeof(T));
        }
    }
}

}  // namespace

extern "C" {

int64_t block_length() { return Lanes<T>::count; }

// shifts (n), exchange (n, M, 2, 2) and blocks (n, M, 2, 2) or null: complex numbers; logarithms (n), angles (n) or null.
void selected_inverse(const Plan* plan, int64_t matrices, const T* shifts, const T* exchange, T* blocks,
                      double* logarithms, double* angles, T* workspace, int64_t threads) {
    const int64_t numbers = 8 * plan->orbitals_total;
#pragma omp parallel num_threads(threads)
    {
        const Scratch scratch(*plan);
#ifdef _OPENMP
        T* work = workspace + omp_get_thread_num() * plan->workspace;
#else
        T* work = workspace;
#endif
#pragma omp for schedule(dynamic)
        for (int64_t n = 0; n < matrices; ++n) {
            if (angles) angles[n] = 0;
            logarithms[n] = upwards(*plan, work, shifts + 2 * n, exchange + n * numbers, scratch,
                                    angles ? angles + n : nullptr);
            if (blocks) downwards(*plan, work, blocks + n * numbers, scratch);
        }
    }
}
}
