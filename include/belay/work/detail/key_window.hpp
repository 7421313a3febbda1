// SPDX-License-Identifier: MIT
/// \file belay/work/detail/key_window.hpp
/// KeyFingerprint and KeyWindow: the last idempotency keys, at 32 bytes for each key.
/// KeyHash: a 96-bit hash of a text, at a nanosecond for eight bytes. siphash128: a hash whose
/// collisions cannot be provoked without the key.
#pragma once

#include <array>        // std::array
#include <bit>          // std::bit_ceil, std::countr_zero, std::rotl
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/journal/id.hpp>

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// 128 bits; the first 64 are in `low`.
struct Hash128 {
    std::uint64_t low;
    std::uint64_t high;
};

/// SipHash-2-4 with 128 bits of output.
///
/// Errors: none.   Complexity: O(n), about a nanosecond for each byte.   Thread safety: any thread.
/// Source: J.-P. Aumasson, D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the
///         128-bit variant of the authors' reference, whose vectors are in the test.
[[nodiscard]] constexpr Hash128 siphash128(const Id& key, BytesView text) noexcept {
    const std::uint64_t k0 = load_le<std::uint64_t>(key.data());
    const std::uint64_t k1 = load_le<std::uint64_t>(key.data() + 8);
    std::uint64_t a = k0 ^ 0x736F6D6570736575U;
    std::uint64_t b = k1 ^ 0x646F72616E646F6DU ^ 0xEEU;
    std::uint64_t c = k0 ^ 0x6C7967656E657261U;
    std::uint64_t d = k1 ^ 0x7465646279746573U;
    const auto rounds = [&](int count) {
        for (; count != 0; --count) {
            a += b;
            c += d;
            b = std::rotl(b, 13) ^ a;
            d = std::rotl(d, 16) ^ c;
            a = std::rotl(a, 32);
            c += b;
            a += d;
            b = std::rotl(b, 17) ^ c;
            d = std::rotl(d, 21) ^ a;
            c = std::rotl(c, 32);
        }
    };
    const std::byte* p = text.data();
    std::size_t left = text.size();
    for (; left >= 8; left -= 8, p += 8) {
        const std::uint64_t word = load_le<std::uint64_t>(p);
        d ^= word;
        rounds(2);
        a ^= word;
    }
    std::uint64_t word = static_cast<std::uint64_t>(text.size()) << 56;
    for (std::size_t i = 0; i < left; ++i) {
        word |= static_cast<std::uint64_t>(p[i]) << (8 * i);
    }
    d ^= word;
    rounds(2);
    a ^= word;
    c ^= 0xEEU;
    rounds(4);
    const std::uint64_t low = a ^ b ^ c ^ d;
    b ^= 0xDDU;
    rounds(4);
    return {low, a ^ b ^ c ^ d};
}

/// 96 bits; the first 64 are in `low`.
struct Hash96 {
    std::uint64_t low;
    std::uint32_t high;
};

/// A hash with a secret. Any two different texts have the same value with probability 2^-96 over
/// the secrets, if their author did not know the secret.
///
/// The hash reads the text in pairs of 32-bit words (a, b) and pads the last one with zeros. It
/// computes three sums modulo 2^64: f0 + f1 * length + (f2 + a0) (f3 + b0) + (f4 + a1) (f5 + b1) +
/// ... It uses the upper 32 bits of each sum, which are strongly universal. The factors are the
/// 32-bit halves of the SipHash of 0, 1, 2, ..., distributed to the sums in turn. A text of more
/// than 64 bytes is first replaced by its SipHash, except for its length.
///
/// Errors: none.   Complexity: O(length); above 64 bytes as SipHash.
/// Thread safety: distinct objects safe; const calls from any thread.
/// Source: D. Lemire, O. Kaser, "Strongly universal string hashing is fast" (2014),
///         MULTILINEAR-HM.
class KeyHash {
public:
    explicit constexpr KeyHash(const Id& secret) noexcept : secret_{secret} {
        std::uint32_t number = 0;
        for (std::size_t i = 0; i < factors * sums; i += 2) {
            std::array<std::byte, 4> text{};
            store_le<std::uint32_t>(text.data(), number++);
            const Hash128 drawn = siphash128(secret, text);
            factors_[i / sums][i % sums] = drawn.low;
            factors_[(i + 1) / sums][(i + 1) % sums] = drawn.high;
        }
    }

    [[nodiscard]] constexpr Hash96 operator()(BytesView text) const noexcept {
        if (text.size() <= direct_bytes_max) return sum_of(text, text.size());
        std::array<std::byte, 16> digest{};
        const Hash128 hash = siphash128(secret_, text);
        store_le<std::uint64_t>(digest.data(), hash.low);
        store_le<std::uint64_t>(digest.data() + 8, hash.high);
        return sum_of(digest, text.size());
    }

private:
    static constexpr std::size_t direct_bytes_max = 64;
    static constexpr std::size_t sums = 3;
    static constexpr std::size_t factors = 2 + direct_bytes_max / 4;
    using Triple = std::array<std::uint64_t, sums>;

    [[nodiscard]] constexpr Hash96 sum_of(BytesView text, std::size_t length) const noexcept {
        Triple sum = factors_[0];
        for (std::size_t i = 0; i < sums; ++i) {
            sum[i] += factors_[1][i] * static_cast<std::uint32_t>(length);
        }
        const Triple* pair = &factors_[2];
        const auto add = [&](std::uint64_t word) {
            for (std::size_t i = 0; i < sums; ++i) {
                sum[i] += (pair[0][i] + (word & 0xFFFFFFFFU)) * (pair[1][i] + (word >> 32));
            }
            pair += 2;
        };
        const std::byte* p = text.data();
        std::size_t left = text.size();
        for (; left >= 8; left -= 8, p += 8) add(load_le<std::uint64_t>(p));
        if (left != 0) {
            std::uint64_t word = 0;
            if (text.size() >= 8) {
                word = load_le<std::uint64_t>(p + left - 8) >> (8 * (8 - left));
            } else {
                for (std::size_t i = 0; i < left; ++i) {
                    word |= static_cast<std::uint64_t>(p[i]) << (8 * i);
                }
            }
            add(word);
        }
        return {(sum[0] >> 32 << 32) | (sum[1] >> 32), static_cast<std::uint32_t>(sum[2] >> 32)};
    }

    Id secret_;
    std::array<Triple, factors> factors_{};
};

/// The fingerprint of a key: 96 bits of its hash, the CRC32C of the content that came with it, and
/// the item that has it. Without an item, it is the place of a key that was removed.
///
/// Any two keys have the same fingerprint with probability 2^-96, if their author had not seen the
/// log's id.
struct KeyFingerprint {
    std::uint64_t low = 0;
    std::uint32_t high = 0;
    std::uint32_t content = 0;
    std::uint64_t item = 0;

    [[nodiscard]] bool same_key(const KeyFingerprint& other) const noexcept {
        return low == other.low && high == other.high;
    }
};

/// Returns the fingerprint of `key`, without its content and item.
///
/// Errors: none.   Complexity: O(length).   Source: see KeyHash.
[[nodiscard]] inline KeyFingerprint print_of(std::string_view key, const KeyHash& hash) noexcept {
    const detail::Hash96 known = hash(as_bytes(key));
    return {known.low, known.high};
}

/// Stores the fingerprints of the last `capacity` keys in a ring with an index.
///
/// An entry of the index contains the slot in the ring, and in the remaining bits a tag of the
/// fingerprint. A search for an absent key reads one cache line, and has no branch that the
/// processor cannot predict. A bucket is one cache line and on average half full; one bucket in a
/// hundred is full.
///
/// Thread safety: distinct objects safe.
/// Allocates: only in the constructor, 32 bytes for each key.
/// Complexity:    O(1) each, expected over the secrets of the hash.
/// Source:        linear probing by buckets: D. Knuth, "The Art of Computer Programming" 3, 6.4.
class KeyWindow {
public:
    static constexpr std::size_t capacity_max = (std::size_t{1} << 31) - 1;

    /// The result of a search for a key.
    enum class Answer : std::uint8_t {
        unknown,   ///< it is not among the last keys
        same,      ///< it came with the same content
        different  ///< it came with different content
    };

    /// Pre: capacity <= capacity_max.   Throws: std::bad_alloc.
    explicit KeyWindow(std::size_t capacity)
        : ring_(checked(capacity)),
          index_((2 * capacity + bucket_size - 1) / bucket_size),
          slots_{std::bit_ceil(static_cast<std::uint32_t>(capacity) + 1) - 1} {}

    /// Prefetches the memory that `find` and `add` will read, for a caller that can do other work
    /// meanwhile.
    void prefetch(const KeyFingerprint& print) const noexcept {
        if (!index_.empty()) prefetch_for_write(&index_[home(print)]);
    }

    [[nodiscard]] Answer find(const KeyFingerprint& print) const noexcept {
        const KeyFingerprint* const known = get(print);
        if (known == nullptr) return Answer::unknown;
        return known->content == print.content ? Answer::same : Answer::different;
    }
    /// Returns what is known of a key; null if it is unknown.
    [[nodiscard]] const KeyFingerprint* get(const KeyFingerprint& print) const noexcept {
        if (index_.empty()) return nullptr;
        for (std::size_t b = home(print);; b = next(b)) {
            const Bucket& bucket = index_[b];
            std::uint32_t alike = bucket.matches(print.high & tags(), tags());
            for (; alike != 0; alike &= alike - 1) {
                const std::uint32_t entry = bucket.entries[index_of_lowest(alike)];
                if (entry == 0) break;
                const KeyFingerprint& known = ring_[slot_of(entry)];
                if (known.same_key(print)) return &known;
            }
            if (!bucket.is_full()) return nullptr;
        }
    }

    /// Adds a key, or the place of a removed one, as the newest. If the window is full, it replaces
    /// the oldest.
    ///
    /// Pre: capacity() > 0, and find(print) is `unknown`.
    void add(const KeyFingerprint& print) noexcept {
        BELAY_PRECONDITION(!ring_.empty(), "KeyWindow::add: the capacity must be > 0");
        const std::size_t slot = next_slot_;
        if (size_ == ring_.size()) {
            if (ring_[slot].item != 0) forget(slot);
            // Prefetched now, so that the index entry is in the cache when this key is removed.
            if (slot + adds_ahead < ring_.size()) prefetch(ring_[slot + adds_ahead]);
        } else {
            ++size_;
        }
        ring_[slot] = print;
        next_slot_ = slot + 1 == ring_.size() ? 0 : slot + 1;
        if (print.item == 0) return;
        std::size_t b = home(print);
        std::uint32_t away = 0;
        for (; index_[b].is_full(); b = next(b)) away = away_bit;
        index_[b].push(static_cast<std::uint32_t>(slot + 1) | away | (print.high & tags()));
    }
    /// Removes a key. Its place stays until it is the oldest, so that the others are remembered for
    /// as long as without the call.
    ///
    /// Pre: `known` is from get().
    void remove(const KeyFingerprint* known) noexcept {
        const auto slot = static_cast<std::size_t>(known - ring_.data());
        forget(slot);
        ring_[slot] = {};
    }

    /// Removes all keys.
    void clear() noexcept {
        for (Bucket& bucket : index_) bucket = {};
        size_ = next_slot_ = 0;
    }

    /// Returns the i-th oldest.   Pre: i < size().
    [[nodiscard]] const KeyFingerprint& at(std::size_t i) const noexcept {
        BELAY_PRECONDITION(i < size(), "KeyWindow::at: the key must exist");
        const std::size_t oldest = size_ == ring_.size() ? next_slot_ : 0;
        const std::size_t slot = oldest + i;
        return ring_[slot < ring_.size() ? slot : slot - ring_.size()];
    }
    [[nodiscard]] std::size_t size() const noexcept { return ring_.empty() ? 0 : size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.size(); }

private:
    static constexpr std::size_t bucket_size = 16;
    static constexpr std::size_t adds_ahead = 8;
    static constexpr std::uint32_t away_bit = std::uint32_t{1} << 31;

    /// Entries; those in use are at the front. Invariant: an entry is in its home bucket, or in a
    /// later one if all buckets before that are full. An entry without `away_bit` is in its home
    /// bucket.
    struct alignas(64) Bucket {
        std::array<std::uint32_t, bucket_size> entries;  // 0: none

        [[nodiscard]] bool is_full() const noexcept { return entries.back() != 0; }
        /// Returns a bit set of the entries that equal `bits` under a mask.
        [[nodiscard]] std::uint32_t matches(std::uint32_t bits, std::uint32_t mask) const noexcept {
#if defined(__SSE2__)
            const auto equal = [&](const std::uint32_t* four) {
                const __m128i all = _mm_load_si128(reinterpret_cast<const __m128i*>(four));
                return _mm_cmpeq_epi32(_mm_and_si128(all, _mm_set1_epi32(static_cast<int>(mask))),
                                       _mm_set1_epi32(static_cast<int>(bits)));
            };
            const __m128i low = _mm_packs_epi32(equal(&entries[0]), equal(&entries[4]));
            const __m128i high = _mm_packs_epi32(equal(&entries[8]), equal(&entries[12]));
            return static_cast<std::uint32_t>(_mm_movemask_epi8(_mm_packs_epi16(low, high)));
#else
            std::uint32_t found = 0;
            for (std::size_t i = 0; i < bucket_size; ++i) {
                found |= ((entries[i] & mask) == bits ? 1U : 0U) << i;
            }
            return found;
#endif
        }
        [[nodiscard]] std::size_t size() const noexcept {
            return index_of_lowest(matches(0, ~std::uint32_t{0}) | 1U << bucket_size);
        }
        void push(std::uint32_t entry) noexcept { entries[size()] = entry; }
        void remove(std::size_t i) noexcept {
            const std::size_t last = size() - 1;
            entries[i] = entries[last];
            entries[last] = 0;
        }
    };

    [[nodiscard]] static std::size_t index_of_lowest(std::uint32_t bits) noexcept {
        return static_cast<std::size_t>(std::countr_zero(bits));
    }
    [[nodiscard]] static std::size_t checked(std::size_t capacity) noexcept {
        BELAY_OPTION(capacity <= capacity_max,
                     "KeyWindow::KeyWindow: the capacity must be below 2^31");
        return capacity;
    }
    /// Returns a mask of the bits of an entry that are its tag.
    [[nodiscard]] std::uint32_t tags() const noexcept { return ~(slots_ | away_bit); }
    [[nodiscard]] std::size_t slot_of(std::uint32_t entry) const noexcept {
        return (entry & slots_) - 1;
    }
    /// Returns the home bucket of a key: its hash scaled to the number of buckets, which is not a
    /// power of two.
    [[nodiscard]] std::size_t home(const KeyFingerprint& print) const noexcept {
        return static_cast<std::size_t>(detail::multiply(print.low, index_.size()).high);
    }
    [[nodiscard]] std::size_t next(std::size_t b) const noexcept {
        return b + 1 == index_.size() ? 0 : b + 1;
    }

    /// Removes a slot of the ring from the index.
    void forget(std::size_t slot) noexcept {
        std::size_t b = home(ring_[slot]);
        std::size_t at = 0;
        for (;; b = next(b)) {
            const std::uint32_t found =
                index_[b].matches(static_cast<std::uint32_t>(slot + 1), slots_);
            if (found == 0) continue;
            at = index_of_lowest(found);
            break;
        }
        const bool was_full = index_[b].is_full();
        index_[b].remove(at);
        if (was_full) refill(b);
    }
    /// Refills a bucket that was full: moves an entry that overflowed past it back, and repeats
    /// this for that entry's bucket.
    void refill(std::size_t hole) noexcept {
        bool was_full = true;
        for (std::size_t b = next(hole); was_full && b != hole; b = next(b)) {
            Bucket& bucket = index_[b];
            was_full = bucket.is_full();
            for (std::size_t i = 0; i < bucket.size(); ++i) {
                const std::uint32_t entry = bucket.entries[i];
                if ((entry & away_bit) == 0) continue;
                const std::size_t wanted = home(ring_[slot_of(entry)]);
                // The entry may move unless its home is after the hole, on the way to b.
                const bool stays =
                    hole < b ? hole < wanted && wanted <= b : hole < wanted || wanted <= b;
                if (stays) continue;
                index_[hole].push(entry);
                bucket.remove(i);
                hole = b;
                break;
            }
        }
    }

    std::vector<KeyFingerprint> ring_;
    std::vector<Bucket> index_;  // at most half of it is used
    std::uint32_t slots_;        // the bits of an entry that are a slot + 1
    std::size_t size_ = 0;
    std::size_t next_slot_ = 0;
};

}}}  // namespace belay::detail
