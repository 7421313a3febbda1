// SPDX-License-Identifier: MIT
/// \file belay/work/detail/key_window.hpp
/// KeyFingerprint and KeyWindow: the last idempotency keys, at 24 bytes for each key.
#pragma once

#include <array>        // std::array
#include <bit>          // std::bit_ceil, std::countr_zero
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/work/detail/key_hash.hpp>

#if defined(__SSE2__)
#    include <emmintrin.h>
#endif

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// What is remembered of a key: 96 bits of a hash of it, and the CRC32C of the content that came
/// with it.
///
/// Two keys share a print with probability 2^-96, whatever they are, if who chose them had not seen
/// the log's id.
struct KeyFingerprint {
    std::uint64_t low = 0;
    std::uint32_t high = 0;
    std::uint32_t content = 0;

    [[nodiscard]] bool same_key(const KeyFingerprint& other) const noexcept {
        return low == other.low && high == other.high;
    }
};

/// The print of `key`, but for its content.
///
/// Errors: none.   Complexity: O(length).   Source: see KeyHash.
[[nodiscard]] inline KeyFingerprint print_of(std::string_view key, const KeyHash& hash) noexcept {
    const detail::Hash96 known = hash(as_bytes(key));
    return {known.low, known.high, 0};
}

/// Remembers the prints of the last `capacity` keys: a ring, and an index over it.
///
/// An entry of the index has the slot in the ring, and in the bits that are left a tag of the
/// print: a look at a key that is not there takes one cache line, and no branch that cannot be
/// foretold. Of the buckets, a cache line each and on average half full, one in a hundred is full.
///
/// Thread safety: distinct objects safe.   Allocates: only when it is made, 24 bytes for each key.
/// Complexity:    O(1) each, expected over the secrets of the hash.
/// Source:        linear probing by buckets: D. Knuth, "The Art of Computer Programming" 3, 6.4.
class KeyWindow {
public:
    static constexpr std::size_t capacity_max = (std::size_t{1} << 31) - 1;

    /// What the window knows of a key.
    enum class Answer : std::uint8_t {
        unknown,   ///< it is not among the last
        same,      ///< it came with the same content
        different  ///< it came with another content
    };

    /// Pre: capacity <= capacity_max.   Throws: std::bad_alloc.
    explicit KeyWindow(std::size_t capacity)
        : ring_(checked(capacity)),
          index_((2 * capacity + bucket_size - 1) / bucket_size),
          slots_{std::bit_ceil(static_cast<std::uint32_t>(capacity) + 1) - 1} {}

    /// Has the memory fetched at which `find` and `add` will look, for who has work to do
    /// meanwhile.
    void prefetch([[maybe_unused]] const KeyFingerprint& print) const noexcept {
#if defined(__GNUC__)
        if (!index_.empty()) __builtin_prefetch(&index_[home(print)], 1);
#endif
    }

    [[nodiscard]] Answer find(const KeyFingerprint& print) const noexcept {
        if (index_.empty()) return Answer::unknown;
        for (std::size_t b = home(print);; b = next(b)) {
            const Bucket& bucket = index_[b];
            std::uint32_t alike = bucket.matches(print.high & tags(), tags());
            for (; alike != 0; alike &= alike - 1) {
                const std::uint32_t entry = bucket.entries[index_of_lowest(alike)];
                if (entry == 0) break;
                const KeyFingerprint& known = ring_[slot_of(entry)];
                if (!known.same_key(print)) continue;
                return known.content == print.content ? Answer::same : Answer::different;
            }
            if (!bucket.is_full()) return Answer::unknown;
        }
    }

    /// Adds a key as the newest, in the place of the oldest if it is full.
    ///
    /// Pre: capacity() > 0, and find(print) is `unknown`.
    void add(const KeyFingerprint& print) noexcept {
        BELAY_PRECONDITION(!ring_.empty(), "KeyWindow::add: the capacity must be > 0");
        const std::size_t slot = next_slot_;
        if (size_ == ring_.size()) {
            forget(slot);
            // By the time that these are forgotten, what tells where they are has come.
            if (slot + adds_ahead < ring_.size()) prefetch(ring_[slot + adds_ahead]);
        } else {
            ++size_;
        }
        ring_[slot] = print;
        std::size_t b = home(print);
        std::uint32_t away = 0;
        for (; index_[b].is_full(); b = next(b)) away = away_bit;
        index_[b].push(static_cast<std::uint32_t>(slot + 1) | away | (print.high & tags()));
        next_slot_ = slot + 1 == ring_.size() ? 0 : slot + 1;
    }

    /// Forgets all.
    void clear() noexcept {
        for (Bucket& bucket : index_) bucket = {};
        size_ = next_slot_ = 0;
    }

    /// The i-th oldest.   Pre: i < size().
    [[nodiscard]] const KeyFingerprint& at(std::size_t i) const noexcept {
        BELAY_PRECONDITION(i < size(), "KeyWindow::at: must be there");
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

    /// Entries, those in use in front. Invariant: an entry is in the bucket that is its home, or in
    /// one behind it, all before which are full; without `away_bit` it is at home.
    struct alignas(64) Bucket {
        std::array<std::uint32_t, bucket_size> entries;  // 0: none

        [[nodiscard]] bool is_full() const noexcept { return entries.back() != 0; }
        /// The entries that have these bits under a mask, as bits themselves.
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
        BELAY_PRECONDITION(capacity <= capacity_max,
                           "KeyWindow::KeyWindow: the capacity must be below 2^31");
        return capacity;
    }
    /// The bits of an entry that are a tag.
    [[nodiscard]] std::uint32_t tags() const noexcept { return ~(slots_ | away_bit); }
    [[nodiscard]] std::size_t slot_of(std::uint32_t entry) const noexcept {
        return (entry & slots_) - 1;
    }
    /// The bucket where a key belongs: its hash scaled to their number, which is no power of two.
    [[nodiscard]] std::size_t home(const KeyFingerprint& print) const noexcept {
        return static_cast<std::size_t>(detail::multiply(print.low, index_.size()).high);
    }
    [[nodiscard]] std::size_t next(std::size_t b) const noexcept {
        return b + 1 == index_.size() ? 0 : b + 1;
    }

    /// Takes a slot of the ring out of the index.
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
    /// A bucket that was full has room: one that passed by it comes back, and so on.
    void refill(std::size_t hole) noexcept {
        bool was_full = true;
        for (std::size_t b = next(hole); was_full && b != hole; b = next(b)) {
            Bucket& bucket = index_[b];
            was_full = bucket.is_full();
            for (std::size_t i = 0; i < bucket.size(); ++i) {
                const std::uint32_t entry = bucket.entries[i];
                if ((entry & away_bit) == 0) continue;
                const std::size_t wanted = home(ring_[slot_of(entry)]);
                // It may unless its home is behind the hole, on the way to b.
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
