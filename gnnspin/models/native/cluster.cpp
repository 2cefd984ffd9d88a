// Energies and fields of the spin cluster expansion on lattices; the equations stand in spin_cluster_expansion.py.
// Built for one precision REAL and blocks of REGISTERS vector registers.
//
// Everything but the densities is local to a site. Vectors (channel, 3) and scalars are kept in arrays; the way back
// computes the inside of a block anew, and sends the adjoints of the densities back by displacement.
#include "lattice.hpp"

extern "C" {
struct ClusterLayer {
    int64_t kinds, in_vectors, in_scalars, densities, components, degrees, pairs, mixed_pairs, channels, scalars, gates;
    int64_t hidden, invariants, outputs, site_outputs, displacements, is_first, time_reversal, emits;
    int64_t gradient_size;               // numbers in the gradients of all weights; 0: not asked for
    const Place *neighbors, *reverse;  // (rows, displacements)
    const int64_t* parts;                // (degrees + 1): first component of each degree, and the end
    const void *kernel, *kernel_back;    // (K M, D in_vectors) and its transpose
    const void *scalar_kernel, *scalar_kernel_back;                // (scalars M, D in_scalars)
    const void *tensor_mixing, *tensor_mixing_back;                // (degrees, K, K + scalar densities)
    const void *vector_first, *vector_first_back, *vector_second, *vector_second_back;  // (degrees, pairs, K)
    const void *tensor_first, *tensor_first_back, *tensor_second, *tensor_second_back;  // (degrees - 1, pairs, K)
    const void *density_mixing, *density_mixing_back;              // (channels, K)
    const void *gate_mixing, *gate_mixing_back;                    // (degrees, channels, K)
    const void *first, *first_bias, *first_back;                   // (hidden + 1, invariants), the linear energy last
    const void *second, *second_bias, *second_back, *third, *third_bias, *third_back;
    void *vectors, *scalars_in;               // what the layer receives
    void *d_vectors, *d_scalars;              // adjoints of that
    void *d_sent, *d_scalars_sent;            // the same by displacement, as sent back from the centres
    void *d_own, *d_own_scalars;              // the part that arises at the site itself
    void *sites, *d_spins;
    void* activations;                        // (hidden): last hidden units, where they are asked for
    void *gradients, *gradient_totals;  // of all weights, for each thread: of some blocks; of all, in double precision
    // Their parts, transposed; each row padded to full registers, the last row that of the bias.
    void *g_kernel, *g_scalar_kernel, *g_tensor_mixing, *g_vector_first, *g_vector_second, *g_tensor_first, *g_tensor_second;
    void *g_density_mixing, *g_gate_mixing, *g_first, *g_second, *g_third;
};
}

template <typename T, int NV> struct ClusterBlock : BlockOfSites<T, NV> {
    using Layer = ClusterLayer;
    using Base = BlockOfSites<T, NV>;
    using Base::B, Base::B3, Base::rows, Base::room, Base::pointers, Base::S, Base::dS;
    static constexpr bool mixes = false;
    const Layer& l;
    int64_t K, M, C, Q, E, half;  // densities, components, vectors and scalars received, rows of tensors, triples
    T *A, *along, *Ts, *p1, *p2, *triple, *inv, *z1, *a1, *z2, *a2, *out, *own, *mixed, *gated;
    T *dA, *dalong, *dTs, *q1, *q2, *dtriple, *dinv, *d1, *dout, *down, *dmixed, *dgated, *dv;

    ClusterBlock(const Layer& layer, const Rows& given, const T* all_spins, const T* all_kinds)
        : Base(given, all_spins, all_kinds), l(layer), K(l.densities), M(l.components), C(l.in_vectors),
          Q(l.in_scalars), E(K + (Q ? l.scalars : 0)), half(K / 2) {
        const int64_t H = l.hidden, P = 3 * M * (l.mixed_pairs ? l.pairs : 0), G = l.channels * M;
        this->template reserve<28>(
            {3 * K * M, E * M, K * M, P, P, half, l.invariants, H + 1, H, H, H, l.outputs, 3 * C, 3 * G, G,
             3 * K * M, E * M, K * M, P, P, half, l.invariants, H + 1, l.outputs, 3 * C, 3 * G, G, 3 * l.channels},
            {&A, &along, &Ts, &p1, &p2, &triple, &inv, &z1, &a1, &z2, &a2, &out, &own, &mixed, &gated,
             &dA, &dalong, &dTs, &q1, &q2, &dtriple, &dinv, &d1, &dout, &down, &dmixed, &dgated, &dv});
        pointers.resize(l.displacements * (C + Q));
    }

    int64_t begin(int64_t degree) const { return l.parts[degree]; }
    int64_t width_of(int64_t degree) const { return l.parts[degree + 1] - l.parts[degree]; }
    T* density(int64_t k, int64_t m) const { return A + (k * M + m) * B3; }

    // Products c <= c' of features (channels, M, X, B), summed over the components of one degree and X.
    T* gram(const T* features, int64_t degree, int64_t X, int64_t channels, T* to) const {
        for (int64_t c = 0; c < channels; ++c)
            for (int64_t e = c; e < channels; ++e, to += B) {
                const T *a = features + (c * M + begin(degree)) * X * B, *o = features + (e * M + begin(degree)) * X * B;
                T sum[B] = {};
                for (int64_t k = 0; k < width_of(degree) * X; ++k)
                    for (int b = 0; b < B; ++b) sum[b] += a[k * B + b] * o[k * B + b];
                std::memcpy(to, sum, sizeof sum);
            }
        return to;
    }
    const T* gram_back(const T* features, int64_t degree, int64_t X, int64_t channels, const T* d, T* to) const {
        for (int64_t c = 0; c < channels; ++c)
            for (int64_t e = c; e < channels; ++e, d += B) {
                const int64_t i = (c * M + begin(degree)) * X * B, j = (e * M + begin(degree)) * X * B;
                for (int64_t k = 0; k < width_of(degree) * X; ++k)
                    for (int b = 0; b < B; ++b) {
                        const T a = features[i + k * B + b], o = features[j + k * B + b];
                        to[i + k * B + b] += d[b] * o;
                        to[j + k * B + b] += d[b] * a;
                    }
            }
        return d;
    }

    // Mixtures (outputs, m X) of the components of one degree of features (channels, M, X, B), by weight (outputs, n).
    template <Start start>
    void mix_part(const T* weight, int64_t outputs, int64_t n, const T* features, int64_t degree, int64_t X, T* to) const {
        for (int64_t k = begin(degree) * X; k < (begin(degree) + width_of(degree)) * X; ++k)
            product<T, NV, start>(weight, outputs, n, Strided<T>{features + k * B, M * X * B}, to + k * B, M * X * B);
    }

    // Gradient number `number` of such weights, from features (n, M, X, B) and adjoints (outputs, M, X, B) of the mixtures.
    void part_gradient(void* gradients, int64_t number, int64_t n, const T* features, const T* d, int64_t outputs,
                       int64_t degree, int64_t X) {
        const int64_t distance = M * X * B, from = begin(degree) * X * B, length = width_of(degree) * X * B;
        this->turn(d + from, outputs, distance, length);
        this->add_gradient(as<T>(gradients) + number * n * this->width, Strided<T>{features + from, distance}, n, length);
    }

    // Products of pairs of channels: all of them, or of two learned mixtures.
    T* pairs(const void* first, const void* second, int64_t number, const T* features, int64_t degree, int64_t X, T* to) {
        if (!l.mixed_pairs) return gram(features, degree, X, K, to);
        const int64_t size = l.pairs * K;
        mix_part<ZERO>(as<T>(first) + number * size, l.pairs, K, features, degree, X, p1);
        mix_part<ZERO>(as<T>(second) + number * size, l.pairs, K, features, degree, X, p2);
        for (int64_t q = 0; q < l.pairs; ++q, to += B) {
            const int64_t at = (q * M + begin(degree)) * X * B;
            T sum[B] = {};
            for (int64_t k = 0; k < width_of(degree) * X; ++k)
                for (int b = 0; b < B; ++b) sum[b] += p1[at + k * B + b] * p2[at + k * B + b];
            std::memcpy(to, sum, sizeof sum);
        }
        return to;
    }
    const T* pairs_back(const void* first, const void* first_back, void* g_first, const void* second,
                        const void* second_back, void* g_second, int64_t number, const T* features, int64_t degree,
                        int64_t X, const T* d, T* to) {
        if (!l.mixed_pairs) return gram_back(features, degree, X, K, d, to);
        const int64_t size = l.pairs * K;
        mix_part<ZERO>(as<T>(first) + number * size, l.pairs, K, features, degree, X, p1);
        mix_part<ZERO>(as<T>(second) + number * size, l.pairs, K, features, degree, X, p2);
        for (int64_t q = 0; q < l.pairs; ++q, d += B) {
            const int64_t at = (q * M + begin(degree)) * X * B;
            for (int64_t k = 0; k < width_of(degree) * X; ++k)
                for (int b = 0; b < B; ++b) {
                    q1[at + k * B + b] = d[b] * p2[at + k * B + b];
                    q2[at + k * B + b] = d[b] * p1[at + k * B + b];
                }
        }
        mix_part<ADD>(as<T>(first_back) + number * size, K, l.pairs, q1, degree, X, to);
        mix_part<ADD>(as<T>(second_back) + number * size, K, l.pairs, q2, degree, X, to);
        if (l.gradient_size) {
            part_gradient(g_first, number, K, features, q1, l.pairs, degree, X);
            part_gradient(g_second, number, K, features, q2, l.pairs, degree, X);
        }
        return d;
    }

    static void dot(const T* a, const T* o, T* to) {
        for (int b = 0; b < B; ++b) to[b] = a[b] * o[b] + a[B + b] * o[B + b] + a[2 * B + b] * o[2 * B + b];
    }
    static void add(const T* d, const T* a, T* to) {  // to += d a, three components
        for (int x = 0; x < 3; ++x)
            for (int b = 0; b < B; ++b) to[x * B + b] += d[b] * a[x * B + b];
    }
    static void add_cross(const T* d, const T* a, const T* o, T* to) {  // to += d a x o
        for (int b = 0; b < B; ++b) {
            to[b] += d[b] * (a[B + b] * o[2 * B + b] - a[2 * B + b] * o[B + b]);
            to[B + b] += d[b] * (a[2 * B + b] * o[b] - a[b] * o[2 * B + b]);
            to[2 * B + b] += d[b] * (a[b] * o[B + b] - a[B + b] * o[b]);
        }
    }
    static void triple_product(const T* s, const T* a, const T* o, T* to) {
        for (int b = 0; b < B; ++b)
            to[b] = s[b] * (a[B + b] * o[2 * B + b] - a[2 * B + b] * o[B + b]) +
                    s[B + b] * (a[2 * B + b] * o[b] - a[b] * o[2 * B + b]) +
                    s[2 * B + b] * (a[b] * o[B + b] - a[B + b] * o[b]);
    }

    void inside(int64_t r, int64_t p) {
        this->load(this->at(this->spins, 3, r, p), 3, S);
        std::memset(dS, 0, sizeof dS);
        const int64_t n = this->gather(l.neighbors, l.displacements, r, p, l.vectors, 3 * C, 0, C, 3);
        for (int x = 0; x < 3; ++x)
            product<T, NV, ZERO>(as<T>(l.kernel), K * M, n, Scattered<T>{pointers.data(), x * room}, A + x * B, B3);
        for (int64_t k = 0; k < K * M; ++k) dot(S, A + k * B3, along + k * B);
        if (Q) {
            const int64_t m = this->gather(l.neighbors, l.displacements, r, p, l.scalars_in, Q, 0, Q, 1);
            product<T, NV, ZERO>(as<T>(l.scalar_kernel), (E - K) * M, m, Scattered<T>{pointers.data(), 0},
                                 along + K * M * B, B);
        }
        for (int64_t d = 0; d < l.degrees; ++d)
            mix_part<ZERO>(as<T>(l.tensor_mixing) + d * K * E, K, E, along, d, 1, Ts);
        T* next = inv;
        for (int64_t k = 0; k < K; ++k, next += B) std::memcpy(next, along + k * M * B, sizeof(T) * B);
        for (int64_t d = 0; d < l.degrees; ++d) next = pairs(l.vector_first, l.vector_second, d, A, d, 3, next);
        for (int64_t d = 1; d < l.degrees; ++d) next = pairs(l.tensor_first, l.tensor_second, d - 1, Ts, d, 1, next);
        for (int64_t k = 0; k < half; ++k) triple_product(S, density(k, 0), density(half + k, 0), triple + k * B);
        for (int64_t k = 0; k < half; ++k)
            for (int64_t e = k; e < half; ++e, next += B)
                for (int b = 0; b < B; ++b) next[b] = triple[k * B + b] * triple[e * B + b];
        if (!l.time_reversal) {
            std::memcpy(next, triple, sizeof(T) * B * half);
            next += half * B;
        }
        if (C > 1) {
            this->load(this->at(l.vectors, 3 * C, r, p), 3 * C, own);
            for (int64_t c = 0; c < C; ++c, next += B) dot(S, own + c * B3, next);
            for (int64_t c = 0; c < C; ++c)
                for (int64_t k = 0; k < K; ++k, next += B) dot(own + c * B3, density(k, 0), next);
        }
        if (Q) {
            this->load(this->at(l.scalars_in, Q, r, p), Q, next);
            next += Q * B;
            for (int64_t k = K; k < E; ++k, next += B) std::memcpy(next, along + k * M * B, sizeof(T) * B);
        }
        const int64_t H = l.hidden;
        product<T, NV, BIAS>(as<T>(l.first), H + 1, l.invariants, Strided<T>{inv, B}, z1, B, as<T>(l.first_bias));
        for (int64_t h = 0; h < H; ++h) silu<T, B>(z1 + h * B, a1 + h * B);
        product<T, NV, BIAS>(as<T>(l.second), H, H, Strided<T>{a1, B}, z2, B, as<T>(l.second_bias));
        for (int64_t h = 0; h < H; ++h) silu<T, B>(z2 + h * B, a2 + h * B);
        if (l.activations) this->store(a2, H, this->at(l.activations, H, r, p));
        product<T, NV, BIAS>(as<T>(l.third), l.outputs, H, Strided<T>{a2, B}, out, B, as<T>(l.third_bias));
        T total[B];
        for (int b = 0; b < B; ++b) total[b] = out[b] + z1[H * B + b];
        this->store(total, 1, this->at(l.sites, l.site_outputs, r, p));
        this->store(out + B, l.site_outputs - 1, this->at(l.sites, l.site_outputs, r, p, 1));
        if (!l.emits) return;
        for (int64_t m = 0; m < M; ++m)
            for (int x = 0; x < 3; ++x)
                product<T, NV, ZERO>(as<T>(l.density_mixing), l.channels, K, Strided<T>{A + m * B3 + x * B, M * B3},
                                     mixed + m * B3 + x * B, M * B3);
        for (int64_t d = 0; d < l.degrees; ++d)
            mix_part<ZERO>(as<T>(l.gate_mixing) + d * l.channels * K, l.channels, K, Ts, d, 1, gated);
    }

    const T* gate(int64_t c, int64_t k) const { return out + (l.site_outputs + l.scalars + c * l.gates + k) * B; }
    T* d_gate(int64_t c, int64_t k) const { return dout + (l.site_outputs + l.scalars + c * l.gates + k) * B; }

    void forward(int64_t r, int64_t p, const Layer* next) {
        inside(r, p);
        if (!l.emits) return;
        this->store(out + l.site_outputs * B, l.scalars, this->at(next->scalars_in, l.scalars, r, p));
        for (int64_t c = 0; c < l.channels; ++c) {
            T v[B3] = {}, factor[B];
            add(gate(c, 0), S, v);
            add(gate(c, 1), mixed + c * M * B3, v);
            for (int64_t d = 0; d < l.degrees; ++d)
                for (int64_t m = begin(d); m < begin(d) + width_of(d); ++m) {
                    for (int b = 0; b < B; ++b) factor[b] = gate(c, 2 + d)[b] * gated[(c * M + m) * B + b];
                    add(factor, mixed + (c * M + m) * B3, v);
                }
            if (!l.time_reversal) add_cross(gate(c, l.gates - 1), S, mixed + c * M * B3, v);
            this->store(v, 3, this->at(next->vectors, 3 * l.channels, r, p, 3 * c));
        }
    }

    void gates_back() {
        std::memset(dmixed, 0, sizeof(T) * l.channels * M * B3);
        for (int64_t c = 0; c < l.channels; ++c) {
            const T* d = dv + c * B3;
            const T* first = mixed + c * M * B3;
            dot(d, S, d_gate(c, 0));
            add(gate(c, 0), d, dS);
            dot(d, first, d_gate(c, 1));
            add(gate(c, 1), d, dmixed + c * M * B3);
            for (int64_t k = 0; k < l.degrees; ++k) {
                T* to = d_gate(c, 2 + k);
                std::memset(to, 0, sizeof(T) * B);
                for (int64_t m = begin(k); m < begin(k) + width_of(k); ++m) {
                    const int64_t i = c * M + m;
                    T along_v[B], factor[B];
                    dot(d, mixed + i * B3, along_v);
                    for (int b = 0; b < B; ++b) {
                        to[b] += along_v[b] * gated[i * B + b];
                        dgated[i * B + b] = along_v[b] * gate(c, 2 + k)[b];
                        factor[b] = gate(c, 2 + k)[b] * gated[i * B + b];
                    }
                    add(factor, d, dmixed + i * B3);
                }
            }
            if (l.time_reversal) continue;
            triple_product(d, S, first, d_gate(c, l.gates - 1));
            add_cross(gate(c, l.gates - 1), first, d, dS);
            add_cross(gate(c, l.gates - 1), d, S, dmixed + c * M * B3);
        }
    }

    void backward(int64_t r, int64_t p, const T* d_sites, const Layer* next) {
        inside(r, p);
        const int64_t H = l.hidden;
        std::memset(dA, 0, sizeof(T) * K * M * B3);
        std::memset(dalong, 0, sizeof(T) * E * M * B);
        std::memset(dTs, 0, sizeof(T) * K * M * B);
        const bool learns = l.gradient_size;
        this->load(this->at(d_sites, l.site_outputs, r, p), l.site_outputs, dout);
        if (learns) this->cut(p, l.site_outputs, dout);
        if (l.emits) {
            this->load(this->at(next->d_scalars, l.scalars, r, p), l.scalars, dout + l.site_outputs * B);
            this->load(this->at(next->d_vectors, 3 * l.channels, r, p), 3 * l.channels, dv);
            if (learns) this->cut(p, l.scalars, dout + l.site_outputs * B);
            if (learns) this->cut(p, 3 * l.channels, dv);
            gates_back();
            if (learns) {
                this->turn(dmixed, l.channels, M * B3, M * B3);
                this->add_gradient(l.g_density_mixing, Strided<T>{A, M * B3}, K, M * B3);
                for (int64_t d = 0; d < l.degrees; ++d) part_gradient(l.g_gate_mixing, d, K, Ts, dgated, l.channels, d, 1);
            }
            for (int64_t m = 0; m < M; ++m)
                for (int x = 0; x < 3; ++x)
                    product<T, NV, ADD>(as<T>(l.density_mixing_back), K, l.channels,
                                        Strided<T>{dmixed + m * B3 + x * B, M * B3}, dA + m * B3 + x * B, M * B3);
            for (int64_t d = 0; d < l.degrees; ++d)
                mix_part<ADD>(as<T>(l.gate_mixing_back) + d * l.channels * K, K, l.channels, dgated, d, 1, dTs);
        }
        product<T, NV, ZERO>(as<T>(l.third_back), H, l.outputs, Strided<T>{dout, B}, d1, B);
        for (int64_t b = 0; b < H * B; ++b) z2[b] *= d1[b];
        product<T, NV, ZERO>(as<T>(l.second_back), H, H, Strided<T>{z2, B}, d1, B);
        for (int64_t b = 0; b < H * B; ++b) z1[b] *= d1[b];
        std::memcpy(z1 + H * B, dout, sizeof(T) * B);
        product<T, NV, ZERO>(as<T>(l.first_back), l.invariants, H + 1, Strided<T>{z1, B}, dinv, B);
        if (learns) {
            this->add_linear_gradient(l.g_third, a2, H, dout, l.outputs);
            this->add_linear_gradient(l.g_second, a1, H, z2, H);
            this->add_linear_gradient(l.g_first, inv, l.invariants, z1, H + 1);
        }
        invariants_back(r, p);
        if (learns)
            for (int64_t d = 0; d < l.degrees; ++d) part_gradient(l.g_tensor_mixing, d, E, along, dTs, K, d, 1);
        for (int64_t d = 0; d < l.degrees; ++d)
            mix_part<ADD>(as<T>(l.tensor_mixing_back) + d * E * K, E, K, dTs, d, 1, dalong);
        for (int64_t k = 0; k < K * M; ++k) {
            add(dalong + k * B, S, dA + k * B3);
            add(dalong + k * B, A + k * B3, dS);
        }
        const int64_t n = l.displacements * C, m = l.displacements * Q;
        for (int x = 0; x < 3; ++x)
            product<T, NV, ZERO>(as<T>(l.kernel_back), n, K * M, Strided<T>{dA + x * B, B3},
                                 this->at(l.d_sent, 3 * n, r, p, x), 3 * room);
        if (Q)
            product<T, NV, ZERO>(as<T>(l.scalar_kernel_back), m, (E - K) * M, Strided<T>{dalong + K * M * B, B},
                                 this->at(l.d_scalars_sent, m, r, p), room);
        this->store(dS, 3, this->at(l.d_spins, 3, r, p));
        if (learns) kernel_gradients(r, p);
    }

    void kernel_gradients(int64_t r, int64_t p) {
        const int64_t n = this->gather(l.neighbors, l.displacements, r, p, l.vectors, 3 * C, 0, C, 3);
        this->turn(dA, K * M, B3, B3);
        for (int x = 0; x < 3; ++x)
            this->add_gradient(l.g_kernel, Scattered<T>{pointers.data(), x * room}, n, B, x * B);
        if (!Q) return;
        const int64_t m = this->gather(l.neighbors, l.displacements, r, p, l.scalars_in, Q, 0, Q, 1);
        this->turn(dalong + K * M * B, (E - K) * M, B, B);
        this->add_gradient(l.g_scalar_kernel, Scattered<T>{pointers.data(), 0}, m, B);
    }

    void invariants_back(int64_t r, int64_t p) {
        const T* d = dinv;
        for (int64_t k = 0; k < K; ++k, d += B)
            for (int b = 0; b < B; ++b) dalong[k * M * B + b] += d[b];
        for (int64_t k = 0; k < l.degrees; ++k)
            d = pairs_back(l.vector_first, l.vector_first_back, l.g_vector_first, l.vector_second, l.vector_second_back,
                           l.g_vector_second, k, A, k, 3, d, dA);
        for (int64_t k = 1; k < l.degrees; ++k)
            d = pairs_back(l.tensor_first, l.tensor_first_back, l.g_tensor_first, l.tensor_second, l.tensor_second_back,
                           l.g_tensor_second, k - 1, Ts, k, 1, d, dTs);
        std::memset(dtriple, 0, sizeof(T) * B * half);
        for (int64_t k = 0; k < half; ++k)
            for (int64_t e = k; e < half; ++e, d += B)
                for (int b = 0; b < B; ++b) {
                    const T a = triple[k * B + b], o = triple[e * B + b];
                    dtriple[k * B + b] += d[b] * o;
                    dtriple[e * B + b] += d[b] * a;
                }
        if (!l.time_reversal)
            for (int64_t k = 0; k < half; ++k, d += B)
                for (int b = 0; b < B; ++b) dtriple[k * B + b] += d[b];
        for (int64_t k = 0; k < half; ++k) {
            const T *a = density(k, 0), *o = density(half + k, 0), *w = dtriple + k * B;
            add_cross(w, a, o, dS);
            add_cross(w, o, S, dA + k * M * B3);
            add_cross(w, S, a, dA + (half + k) * M * B3);
        }
        if (C > 1) {
            std::memset(down, 0, sizeof(T) * B3 * C);
            for (int64_t c = 0; c < C; ++c, d += B) {
                add(d, own + c * B3, dS);
                add(d, S, down + c * B3);
            }
            for (int64_t c = 0; c < C; ++c)
                for (int64_t k = 0; k < K; ++k, d += B) {
                    add(d, density(k, 0), down + c * B3);
                    add(d, own + c * B3, dA + k * M * B3);
                }
            this->store(down, 3 * C, this->at(l.d_own, 3 * C, r, p));
        }
        if (!Q) return;
        this->store(d, Q, this->at(l.d_own_scalars, Q, r, p));
        d += Q * B;
        for (int64_t k = K; k < E; ++k, d += B)
            for (int b = 0; b < B; ++b) dalong[k * M * B + b] += d[b];
    }

    void mix(int64_t, int64_t) {}
    void halo_inputs() const {
        if (l.is_first) return;
        fill_halo<T>(rows, l.vectors, 3 * C);
        fill_halo<T>(rows, l.scalars_in, Q);
    }
    void halo_adjoints() const {
        fill_halo<T>(rows, l.d_sent, 3 * C * l.displacements);
        fill_halo<T>(rows, l.d_scalars_sent, Q * l.displacements);
    }

    // Adjoints of what the layer received: those that arose at the site, and those that its neighbours sent.
    void collect(int64_t r, int64_t p) {
        this->sum_sent(l.reverse, l.displacements, r, p, l.d_sent, C > 1 ? l.d_own : nullptr, 3 * C, l.d_vectors);
        if (Q) this->sum_sent(l.reverse, l.displacements, r, p, l.d_scalars_sent, l.d_own_scalars, Q, l.d_scalars);
    }
};

NATIVE_ENTRY(cluster, ClusterBlock)
