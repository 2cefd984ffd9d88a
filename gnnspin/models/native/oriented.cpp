// Energies and fields of the oriented cluster expansion; the equations stand in oriented_cluster_expansion.py.
// Built for one precision REAL and blocks of REGISTERS vector registers.
//
// Everything but the messages is local to a site and an orientation, and is computed for a block of B sites without
// leaving the first cache. Vectors and scalars handed on are kept in arrays (orientation, channel, 3); the way back computes the inside of a block anew from them.
#include "lattice.hpp"

extern "C" {
struct OrientedLayer {
    int64_t orientations, kinds, in_vectors, in_scalars, filters, factors, terms, channels, scalars, hidden;
    int64_t invariants, outputs, site_outputs, displacements, is_first, time_reversal, emits;
    int64_t gradient_size;             // numbers in the gradients of all weights; 0: not asked for
    const Place *neighbors, *reverse;  // (rows, displacements)
    const void* kernel;       // (G, filters, D in_vectors)
    const void* kernel_back;  // (G, in_vectors, D filters); of the first layer (D in_vectors, G filters)
    const void *own, *own_back;          // (filters, in_vectors) and its transpose
    const void *mixing, *mixing_back;    // (G in_vectors, G in_vectors): identity included
    const void *scalar_kernel, *scalar_kernel_back, *scalar_mixing, *scalar_mixing_back;
    const void *factor_mixing, *factor_mixing_back;  // (factors, kinds + filters)
    const void *vector_mixing, *vector_mixing_back;  // (terms channels, kinds + filters)
    const void *first, *first_bias, *first_back;     // (hidden + 1, invariants), the last row the linear energy
    const void *second, *second_bias, *second_back;
    const void *third, *third_bias, *third_back;
    // What the layer receives, that mixed over orientations, and adjoints.
    void *vectors, *mixed_vectors, *scalars_in, *mixed_scalars;
    void *d_vectors, *d_scalars, *d_messages /* of the first layer: of its neighbours' vectors, (D in_vectors) */, *d_scalar_messages, *d_mixed_scalars;
    void *sites, *d_spins;
    void* activations;  // (hidden): mean over the orientations of the last hidden units, where they are asked for
    void *gradients, *gradient_totals;  // of all weights, for each thread: of some blocks; of all, in double precision
    // Their parts, transposed; each row padded to full registers, the last row that of the bias.
    void *g_kernel, *g_own, *g_mixing, *g_scalar_kernel, *g_scalar_mixing, *g_factor_mixing, *g_vector_mixing;
    void *g_first, *g_second, *g_third;
};
}

template <typename T, int NV> struct OrientedBlock : BlockOfSites<T, NV> {
    using Layer = OrientedLayer;
    using Base = BlockOfSites<T, NV>;
    using Base::B, Base::B3, Base::rows, Base::room, Base::pointers, Base::S, Base::dS;
    static constexpr bool mixes = true;
    const Layer& l;
    int64_t G, K, C, F, P;
    std::vector<T> buffer;
    T *X, *u, *inv, *z1, *a1, *z2, *a2, *out, *mixed, *v, *s;
    T *dA_all, *dX, *du, *dinv, *d1, *dout, *dmixed, *dv, *total, *kept;

    OrientedBlock(const Layer& layer, const Rows& given, const T* all_spins, const T* all_kinds)
        : Base(given, all_spins, all_kinds), l(layer), G(l.orientations), K(l.kinds), C(l.in_vectors), F(l.filters),
          P(l.factors), buffer(G * (C + l.in_scalars) * B) {
        const int64_t n = K + F, H = l.hidden, M = l.terms * l.channels;
        this->template reserve<21>(
            {3 * n, 3 * P, l.invariants, H + 1, H, H, H, l.outputs, 3 * M, 3 * l.channels, l.scalars,
             l.is_first ? 3 * G * F : 0, 3 * n, 3 * P, l.invariants, H + 1, l.outputs, 3 * M, 3 * l.channels,
             l.site_outputs, H},
            {&X, &u, &inv, &z1, &a1, &z2, &a2, &out, &mixed, &v, &s,
             &dA_all, &dX, &du, &dinv, &d1, &dout, &dmixed, &dv, &total, &kept});
        pointers.resize(l.displacements * (C + F + l.in_scalars));
    }

    const T* kind(int64_t k, int64_t r, int64_t p) const { return this->at(this->kinds, K, r, p, k); }

    void start(int64_t r, int64_t p) {
        this->load(this->at(this->spins, 3, r, p), 3, S);
        for (int64_t k = 0; k < K; ++k)
            for (int x = 0; x < 3; ++x)
                for (int b = 0; b < B; ++b) X[k * B3 + x * B + b] = S[x * B + b] * kind(k, r, p)[b];
        std::memset(total, 0, sizeof(T) * B * l.site_outputs);
        std::memset(dS, 0, sizeof(T) * B3);
    }

    // Messages, products, the site network, and what is handed on, of orientation g.
    void inside(int64_t r, int64_t p, int64_t g) {
        void* input = l.is_first ? l.vectors : l.mixed_vectors;
        const int64_t received = 3 * C * (l.is_first ? 1 : G), first = l.is_first ? 0 : 3 * C * g;
        const int64_t n = this->gather(l.neighbors, l.displacements, r, p, input, received, first, C, 3);
        T* A = X + K * B3;
        for (int x = 0; x < 3; ++x) {
            product<T, NV, ZERO>(as<T>(l.kernel) + g * F * n, F, n, Scattered<T>{pointers.data(), x * room}, A + x * B, B3);
            if (!l.is_first)
                product<T, NV, ADD>(as<T>(l.own), F, C, Strided<T>{this->at(input, received, r, p, first + x), 3 * room},
                                    A + x * B, B3);
        }
        product3<T, NV, ZERO>(as<T>(l.factor_mixing), P, K + F, X, u);
        T* next = inv;
        for (int64_t k = 0; k < P; ++k, next += B) {
            const T* a = u + k * B3;
            for (int b = 0; b < B; ++b) next[b] = a[b] * a[b] + a[B + b] * a[B + b] + a[2 * B + b] * a[2 * B + b];
        }
        for (int64_t k = 0; k < P; ++k, next += B) {
            const T *a = u + k * B3, *o = u + (k ? k - 1 : P - 1) * B3;
            for (int b = 0; b < B; ++b) next[b] = a[b] * o[b] + a[B + b] * o[B + b] + a[2 * B + b] * o[2 * B + b];
        }
        for (int64_t f = 0; f < F; ++f, next += B) {
            const T* a = A + f * B3;
            for (int b = 0; b < B; ++b) next[b] = S[b] * a[b] + S[B + b] * a[B + b] + S[2 * B + b] * a[2 * B + b];
        }
        if (l.in_scalars) {
            const int64_t q = l.in_scalars;
            this->load(this->at(l.mixed_scalars, G * q, r, p, g * q), q, next);
            next += q * B;
            const int64_t m = this->gather(l.neighbors, l.displacements, r, p, l.mixed_scalars, G * q, g * q, q, 1);
            product<T, NV, ZERO>(as<T>(l.scalar_kernel) + g * l.in_scalars * m, l.in_scalars, m,
                                 Scattered<T>{pointers.data(), 0}, next, B);
            next += l.in_scalars * B;
        }
        if (!l.time_reversal)
            for (int64_t k = 0; k < P; ++k, next += B) {
                const T *a = u + k * B3, *o = u + (k ? k - 1 : P - 1) * B3;
                for (int b = 0; b < B; ++b)
                    next[b] = S[b] * (a[B + b] * o[2 * B + b] - a[2 * B + b] * o[B + b]) +
                              S[B + b] * (a[2 * B + b] * o[b] - a[b] * o[2 * B + b]) +
                              S[2 * B + b] * (a[b] * o[B + b] - a[B + b] * o[b]);
            }
        const int64_t H = l.hidden;
        product<T, NV, BIAS>(as<T>(l.first), H + 1, l.invariants, Strided<T>{inv, B}, z1, B, as<T>(l.first_bias));
        for (int64_t h = 0; h < H; ++h) silu<T, B>(z1 + h * B, a1 + h * B);
        product<T, NV, BIAS>(as<T>(l.second), H, H, Strided<T>{a1, B}, z2, B, as<T>(l.second_bias));
        for (int64_t h = 0; h < H; ++h) silu<T, B>(z2 + h * B, a2 + h * B);
        product<T, NV, BIAS>(as<T>(l.third), l.outputs, H, Strided<T>{a2, B}, out, B, as<T>(l.third_bias));
        const T share = T(1) / T(G);
        if (l.activations) {
            for (int64_t b = 0; b < H * B; ++b) kept[b] = (g ? kept[b] : T(0)) + share * a2[b];
            if (g + 1 == G) this->store(kept, H, this->at(l.activations, H, r, p));
        }
        for (int b = 0; b < B; ++b) total[b] += share * z1[H * B + b];
        for (int64_t b = 0; b < l.site_outputs * B; ++b) total[b] += share * out[b];
        if (!l.emits) return;
        std::memcpy(s, out + l.site_outputs * B, sizeof(T) * B * l.scalars);
        product3<T, NV, ZERO>(as<T>(l.vector_mixing), l.terms * l.channels, K + F, X, mixed);
        std::memset(v, 0, sizeof(T) * B3 * l.channels);
        const T* gate = out + (l.site_outputs + l.scalars) * B;
        for (int64_t m = 0; m < l.terms; ++m)
            for (int64_t c = 0; c < l.channels; ++c, gate += B) {
                const T* a = mixed + (m * l.channels + c) * B3;
                T* to = v + c * B3;
                if (l.time_reversal || m + 1 < l.terms) {
                    for (int x = 0; x < 3; ++x)
                        for (int b = 0; b < B; ++b) to[x * B + b] += gate[b] * a[x * B + b];
                } else {
                    for (int b = 0; b < B; ++b) {
                        to[b] += gate[b] * (S[B + b] * a[2 * B + b] - S[2 * B + b] * a[B + b]);
                        to[B + b] += gate[b] * (S[2 * B + b] * a[b] - S[b] * a[2 * B + b]);
                        to[2 * B + b] += gate[b] * (S[b] * a[B + b] - S[B + b] * a[b]);
                    }
                }
            }
    }

    // Division by sqrt(1 + n), n the squared size of a channel; or, with `d`, the adjoint of it, in place of d.
    void bound(T* features, int64_t channels, int64_t components, T* d) const {
        if (!channels) return;
        T size[B], along[B];
        for (int b = 0; b < B; ++b) size[b] = along[b] = 0;
        for (int64_t k = 0; k < channels * components; ++k)
            for (int b = 0; b < B; ++b) {
                size[b] += features[k * B + b] * features[k * B + b];
                if (d) along[b] += features[k * B + b] * d[k * B + b];
            }
        const T share = T(1) / T(channels);
        for (int b = 0; b < B; ++b) size[b] = T(1) / std::sqrt(T(1) + size[b] * share);
        if (!d) {
            for (int64_t k = 0; k < channels * components; ++k)
                for (int b = 0; b < B; ++b) features[k * B + b] *= size[b];
            return;
        }
        for (int b = 0; b < B; ++b) along[b] *= share * size[b] * size[b] * size[b];
        for (int64_t k = 0; k < channels * components; ++k)
            for (int b = 0; b < B; ++b) d[k * B + b] = size[b] * d[k * B + b] - along[b] * features[k * B + b];
    }

    // Hands the bounded vectors and scalars of orientation g on.
    void emit(int64_t r, int64_t p, int64_t g, const Layer* next) {
        bound(v, l.channels, 3, nullptr);
        bound(s, l.scalars, 1, nullptr);
        this->store(v, 3 * l.channels, this->at(next->vectors, 3 * l.channels * G, r, p, 3 * l.channels * g));
        this->store(s, l.scalars, this->at(next->scalars_in, l.scalars * G, r, p, l.scalars * g));
    }

    // Adjoints of the messages, scalars and spins, after `inside` of the same orientation.
    void inside_back(int64_t r, int64_t p, int64_t g, const T* d_sites, const Layer* next) {
        const int64_t H = l.hidden, M = l.terms * l.channels;
        const T part = T(1) / T(G);
        std::memset(dX, 0, sizeof(T) * B3 * (K + F));
        for (int64_t o = 0; o < l.site_outputs; ++o)
            for (int b = 0; b < B; ++b) dout[o * B + b] = part * this->at(d_sites, l.site_outputs, r, p, o)[b];
        if (l.gradient_size) this->cut(p, l.site_outputs, dout);
        if (l.emits) {
            this->load(this->at(next->d_vectors, 3 * l.channels * G, r, p, 3 * l.channels * g), 3 * l.channels, dv);
            this->load(this->at(next->d_scalars, l.scalars * G, r, p, l.scalars * g), l.scalars, dout + l.site_outputs * B);
            if (l.gradient_size) this->cut(p, 3 * l.channels, dv);
            if (l.gradient_size) this->cut(p, l.scalars, dout + l.site_outputs * B);
            bound(v, l.channels, 3, dv);
            bound(s, l.scalars, 1, dout + l.site_outputs * B);
            gates_back();
            product3<T, NV, ADD>(as<T>(l.vector_mixing_back), K + F, M, dmixed, dX);
        }
        product<T, NV, ZERO>(as<T>(l.third_back), H, l.outputs, Strided<T>{dout, B}, d1, B);
        for (int64_t b = 0; b < H * B; ++b) z2[b] *= d1[b];
        product<T, NV, ZERO>(as<T>(l.second_back), H, H, Strided<T>{z2, B}, d1, B);
        for (int64_t b = 0; b < H * B; ++b) z1[b] *= d1[b];
        std::memcpy(z1 + H * B, dout, sizeof(T) * B);
        product<T, NV, ZERO>(as<T>(l.first_back), l.invariants, H + 1, Strided<T>{z1, B}, dinv, B);
        invariants_back(r, p, g);
        product3<T, NV, ADD>(as<T>(l.factor_mixing_back), K + F, P, du, dX);
        if (l.gradient_size) gradients(r, p, g);
        if (l.is_first) std::memcpy(dA_all + g * F * B3, dX + K * B3, sizeof(T) * B3 * F);
        else this->store(dX + K * B3, 3 * F, this->at(l.d_messages, 3 * F * G, r, p, 3 * F * g));
        for (int64_t k = 0; k < K; ++k)
            for (int x = 0; x < 3; ++x)
                for (int b = 0; b < B; ++b)
                    dS[x * B + b] += dX[k * B3 + x * B + b] * kind(k, r, p)[b];
    }

    // Gradients of the weights from the adjoints of orientation g.
    void gradients(int64_t r, int64_t p, int64_t g) {
        const int64_t H = l.hidden, M = l.terms * l.channels, q = l.in_scalars;
        this->add_linear_gradient(l.g_third, a2, H, dout, l.outputs);
        this->add_linear_gradient(l.g_second, a1, H, z2, H);
        this->add_linear_gradient(l.g_first, inv, l.invariants, z1, H + 1);
        this->turn(du, P, B3, B3);
        this->add_gradient(l.g_factor_mixing, Strided<T>{X, B3}, K + F, B3);
        if (l.emits) {
            this->turn(dmixed, M, B3, B3);
            this->add_gradient(l.g_vector_mixing, Strided<T>{X, B3}, K + F, B3);
        }
        void* input = l.is_first ? l.vectors : l.mixed_vectors;
        const int64_t received = 3 * C * (l.is_first ? 1 : G), first = l.is_first ? 0 : 3 * C * g;
        const int64_t n = this->gather(l.neighbors, l.displacements, r, p, input, received, first, C, 3);
        this->turn(dX + K * B3, F, B3, B3);
        for (int x = 0; x < 3; ++x) {
            this->add_gradient(as<T>(l.g_kernel) + g * n * this->width, Scattered<T>{pointers.data(), x * room}, n, B, x * B);
            if (!l.is_first)
                this->add_gradient(l.g_own, Strided<T>{this->at(input, received, r, p, first + x), 3 * room}, C, B, x * B);
        }
        if (!q) return;
        const int64_t m = this->gather(l.neighbors, l.displacements, r, p, l.mixed_scalars, G * q, g * q, q, 1);
        this->turn(dinv + (2 * P + F + q) * B, q, B, B);
        this->add_gradient(as<T>(l.g_scalar_kernel) + g * m * this->width, Scattered<T>{pointers.data(), 0}, m, B);
    }

    void gates_back() {
        const T* gate = out + (l.site_outputs + l.scalars) * B;
        T* d_gate = dout + (l.site_outputs + l.scalars) * B;
        for (int64_t m = 0; m < l.terms; ++m)
            for (int64_t c = 0; c < l.channels; ++c, gate += B, d_gate += B) {
                const T *a = mixed + (m * l.channels + c) * B3, *d = dv + c * B3;
                T* to = dmixed + (m * l.channels + c) * B3;
                if (l.time_reversal || m + 1 < l.terms) {
                    for (int b = 0; b < B; ++b) {
                        d_gate[b] = a[b] * d[b] + a[B + b] * d[B + b] + a[2 * B + b] * d[2 * B + b];
                        for (int x = 0; x < 3; ++x) to[x * B + b] = gate[b] * d[x * B + b];
                    }
                    continue;
                }
                for (int b = 0; b < B; ++b) {  // v += gate S x a
                    const T s0 = S[b], s1 = S[B + b], s2 = S[2 * B + b];
                    const T a0 = a[b], a1_ = a[B + b], a2_ = a[2 * B + b];
                    const T d0 = d[b], d1_ = d[B + b], d2 = d[2 * B + b];
                    d_gate[b] = d0 * (s1 * a2_ - s2 * a1_) + d1_ * (s2 * a0 - s0 * a2_) + d2 * (s0 * a1_ - s1 * a0);
                    const T w = gate[b];
                    to[b] = w * (d1_ * s2 - d2 * s1);
                    to[B + b] = w * (d2 * s0 - d0 * s2);
                    to[2 * B + b] = w * (d0 * s1 - d1_ * s0);
                    dS[b] += w * (a1_ * d2 - a2_ * d1_);
                    dS[B + b] += w * (a2_ * d0 - a0 * d2);
                    dS[2 * B + b] += w * (a0 * d1_ - a1_ * d0);
                }
            }
    }

    void invariants_back(int64_t r, int64_t p, int64_t g) {
        const T* next = dinv;
        for (int64_t k = 0; k < P; ++k) {
            const int64_t before = k ? k - 1 : P - 1, after = k + 1 < P ? k + 1 : 0;
            const T *a = u + k * B3, *o = u + before * B3, *n = u + after * B3;
            const T *square = next + k * B, *with_before = next + (P + k) * B, *with_after = next + (P + after) * B;
            for (int x = 0; x < 3; ++x)
                for (int b = 0; b < B; ++b)
                    du[k * B3 + x * B + b] = T(2) * square[b] * a[x * B + b] + with_before[b] * o[x * B + b] +
                                             with_after[b] * n[x * B + b];
        }
        next += 2 * P * B;
        const T* A = X + K * B3;
        T* dA = dX + K * B3;
        for (int64_t f = 0; f < F; ++f, next += B)
            for (int x = 0; x < 3; ++x)
                for (int b = 0; b < B; ++b) {
                    dA[f * B3 + x * B + b] += next[b] * S[x * B + b];
                    dS[x * B + b] += next[b] * A[f * B3 + x * B + b];
                }
        if (l.in_scalars) {
            this->store(next, l.in_scalars, this->at(l.d_mixed_scalars, G * l.in_scalars, r, p, g * l.in_scalars));
            next += l.in_scalars * B;
            this->store(next, l.in_scalars, this->at(l.d_scalar_messages, G * l.in_scalars, r, p, g * l.in_scalars));
            next += l.in_scalars * B;
        }
        if (l.time_reversal) return;
        for (int64_t k = 0; k < P; ++k, next += B) {  // S . (u_k x u_(k-1))
            const int64_t before = k ? k - 1 : P - 1;
            const T *a = u + k * B3, *o = u + before * B3;
            T *da = du + k * B3, *d_o = du + before * B3;
            for (int b = 0; b < B; ++b) {
                const T w = next[b], s0 = S[b], s1 = S[B + b], s2 = S[2 * B + b];
                const T a0 = a[b], a1_ = a[B + b], a2_ = a[2 * B + b], o0 = o[b], o1 = o[B + b], o2 = o[2 * B + b];
                dS[b] += w * (a1_ * o2 - a2_ * o1);
                dS[B + b] += w * (a2_ * o0 - a0 * o2);
                dS[2 * B + b] += w * (a0 * o1 - a1_ * o0);
                da[b] += w * (o1 * s2 - o2 * s1);
                da[B + b] += w * (o2 * s0 - o0 * s2);
                da[2 * B + b] += w * (o0 * s1 - o1 * s0);
                d_o[b] += w * (s1 * a2_ - s2 * a1_);
                d_o[B + b] += w * (s2 * a0 - s0 * a2_);
                d_o[2 * B + b] += w * (s0 * a1_ - s1 * a0);
            }
        }
    }

    // Adjoints of the spins that the first layer's messages came from, by displacement, of all orientations together.
    void send_back(int64_t r, int64_t p) {
        const int64_t n = l.displacements * C;
        for (int x = 0; x < 3; ++x)
            product<T, NV, ZERO>(as<T>(l.kernel_back), n, G * F, Strided<T>{dA_all + x * B, B3},
                                 this->at(l.d_messages, 3 * n, r, p, x), 3 * room);
    }

    void forward(int64_t r, int64_t p, const Layer* next) {
        start(r, p);
        for (int64_t g = 0; g < G; ++g) {
            inside(r, p, g);
            if (l.emits) emit(r, p, g, next);
        }
        this->store(total, l.site_outputs, this->at(l.sites, l.site_outputs, r, p));
    }

    void backward(int64_t r, int64_t p, const T* d_sites, const Layer* next) {
        start(r, p);
        for (int64_t g = 0; g < G; ++g) {
            inside(r, p, g);
            inside_back(r, p, g, d_sites, next);
        }
        if (l.is_first) send_back(r, p);
        this->store(total, l.site_outputs, this->at(l.sites, l.site_outputs, r, p));
        this->store(dS, 3, this->at(l.d_spins, 3, r, p));
    }

    void halo_inputs() const {
        if (l.is_first) return;
        fill_halo<T>(rows, l.mixed_vectors, G * C * 3);
        fill_halo<T>(rows, l.mixed_scalars, G * l.in_scalars);
    }
    void halo_adjoints() const {
        fill_halo<T>(rows, l.d_messages, 3 * (l.is_first ? l.displacements * C : G * F));
        fill_halo<T>(rows, l.d_scalar_messages, G * l.in_scalars);
    }

    // Adjoints of what the layer received, from those of the messages around block p of row r.
    void collect(int64_t r, int64_t p) {
        const int64_t D = l.displacements, q = l.in_scalars;
        if (l.is_first) {
            this->sum_sent(l.reverse, D, r, p, l.d_messages, nullptr, 3 * C, l.d_vectors);
            return;
        }
        for (int x = 0; x < 3; ++x) {
            for (int64_t g = 0; g < G; ++g) {
                const int64_t n = this->gather(l.reverse, D, r, p, l.d_messages, 3 * F * G, 3 * F * g, F, 3);
                product<T, NV, ZERO>(as<T>(l.kernel_back) + g * C * n, C, n, Scattered<T>{pointers.data(), x * room},
                                     buffer.data() + g * C * B, B);
                const T* own = this->at(l.d_messages, 3 * F * G, r, p, 3 * F * g + x);
                product<T, NV, ADD>(as<T>(l.own_back), C, F, Strided<T>{own, 3 * room}, buffer.data() + g * C * B, B);
            }
            product<T, NV, ZERO>(as<T>(l.mixing_back), G * C, G * C, Strided<T>{buffer.data(), B},
                                 this->at(l.d_vectors, 3 * C * G, r, p, x), 3 * room);
            if (l.gradient_size) mixing_gradient(l.g_mixing, l.vectors, 3, G * C, r, p, x);
        }
        if (!q) return;
        for (int64_t g = 0; g < G; ++g) {
            const int64_t n = this->gather(l.reverse, D, r, p, l.d_scalar_messages, G * q, g * q, q, 1);
            this->load(this->at(l.d_mixed_scalars, G * q, r, p, g * q), q, buffer.data() + g * q * B);
            product<T, NV, ADD>(as<T>(l.scalar_kernel_back) + g * q * n, q, n, Scattered<T>{pointers.data(), 0},
                                buffer.data() + g * q * B, B);
        }
        product<T, NV, ZERO>(as<T>(l.scalar_mixing_back), G * q, G * q, Strided<T>{buffer.data(), B},
                             this->at(l.d_scalars, G * q, r, p), room);
        if (l.gradient_size) mixing_gradient(l.g_scalar_mixing, l.scalars_in, 1, G * q, r, p, 0);
    }

    // Gradient of the mixing of orientations of component x of n features, from adjoints in the buffer.
    void mixing_gradient(void* gradient, const void* features, int64_t components, int64_t n, int64_t r, int64_t p, int64_t x) {
        this->cut(p, n, buffer.data());
        this->turn(buffer.data(), n, B, B);
        this->add_gradient(gradient, Strided<T>{this->at(as<T>(features), components * n, r, p, x), components * room}, n, B);
    }

    // Mixtures of the orientations of what the layer received.
    void mix(int64_t r, int64_t p) {
        const int64_t n = G * C, q = G * l.in_scalars;
        for (int x = 0; x < 3; ++x)
            product<T, NV, ZERO>(as<T>(l.mixing), n, n, Strided<T>{this->at(l.vectors, 3 * n, r, p, x), 3 * room},
                                 this->at(l.mixed_vectors, 3 * n, r, p, x), 3 * room);
        if (q)
            product<T, NV, ZERO>(as<T>(l.scalar_mixing), q, q, Strided<T>{this->at(l.scalars_in, q, r, p), room},
                                 this->at(l.mixed_scalars, q, r, p), room);
    }
};

NATIVE_ENTRY(oriented, OrientedBlock)
