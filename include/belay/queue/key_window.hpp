// SPDX-License-Identifier: MIT
/// \file belay/queue/key_window.hpp
/// KeyPrint and KeyWindow: the last idempotency keys, at 24 bytes each.
#pragma once

#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string_view>  // std::string_view
#include <vector>       // std::vector

#include <belay/core/crc32c.hpp>
#include <belay/queue/detail/siphash.hpp>

namespace belay::inline BELAY_ABI {

/// What is remembered of a key: 96 bits of a keyed hash of it, and the checksum of the content that
/// came with it.
///
/// Two keys share a print with probability 2^-96, and whoever does not know the secret cannot look
/// for two that do.
struct KeyPrint {
    std::uint64_t low = 0;
    std::uint32_t high = 0;
    std::uint32_t content = 0;

    [[nodiscard]] bool same_key(const KeyPrint& other) const noexcept {
        return low == other.low && high == other.high;
    }
};

/// The print of `key`, which came with `content`.
///
/// Errors: none.   Complexity: O(length of both).
/// Source: SipHash-2-4-128 (J.-P. Aumasson, D. J. Bernstein, 2012); CRC32C.
[[nodiscard]] inline KeyPrint print_of(std::string_view key, BytesView content,
                                       const Id& secret) noexcept {
    const detail::Hash128 hash = detail::siphash128(secret, as_bytes(key));
    return {hash.low, static_cast<std::uint32_t>(hash.high), crc32c(content)};
}

/// Remembers the prints of the last `capacity` keys: a ring, and an index over it.
///
/// Thread safety: distinct objects safe.   Allocates: only when it is made.
/// Complexity:    O(1) each.
/// Source:        linear probing, removal by shifting back: D. Knuth, "The Art of Computer
///                Programming" 3, 6.4, algorithm R.
class KeyWindow {
public:
    /// What the window knows of a key.
    enum class Answer : std::uint8_t {
        unknown,   ///< it is not among the last
        same,      ///< it came with the same content
        different  ///< it came with another content
    };

    /// Pre: capacity < 2^31.   Throws: std::bad_alloc.
    explicit KeyWindow(std::size_t capacity) : index_(2 * capacity) {
        BELAY_PRECONDITION(capacity < (std::size_t{1} << 31),
                           "KeyWindow::KeyWindow: the capacity must be below 2^31");
        ring_.resize(capacity);
    }

    [[nodiscard]] Answer find(const KeyPrint& print) const noexcept {
        if (size_ == 0) return Answer::unknown;
        for (std::size_t i = home(print); index_[i] != 0; i = next(i)) {
            const KeyPrint& known = ring_[index_[i] - 1];
            if (known.same_key(print)) {
                return known.content == print.content ? Answer::same : Answer::different;
            }
        }
        return Answer::unknown;
    }

    /// Adds a key as the newest, in the place of the oldest if it is full.
    ///
    /// Pre: capacity() > 0, and find(print) is `unknown`.
    void add(const KeyPrint& print) noexcept {
        BELAY_PRECONDITION(!ring_.empty(), "KeyWindow::add: the capacity must be > 0");
        if (size_ == ring_.size()) {
            forget(next_slot_);
        } else {
            ++size_;
        }
        ring_[next_slot_] = print;
        std::size_t i = home(print);
        while (index_[i] != 0) i = next(i);
        index_[i] = static_cast<std::uint32_t>(next_slot_ + 1);
        next_slot_ = next_slot_ + 1 == ring_.size() ? 0 : next_slot_ + 1;
    }

    /// Forgets all.
    void clear() noexcept {
        for (std::uint32_t& entry : index_) entry = 0;
        size_ = next_slot_ = 0;
    }

    /// The i-th oldest.   Pre: i < size().
    [[nodiscard]] const KeyPrint& at(std::size_t i) const noexcept {
        BELAY_PRECONDITION(i < size_, "KeyWindow::at: must be there");
        const std::size_t oldest = size_ == ring_.size() ? next_slot_ : 0;
        const std::size_t slot = oldest + i;
        return ring_[slot < ring_.size() ? slot : slot - ring_.size()];
    }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] std::size_t capacity() const noexcept { return ring_.size(); }

private:
    /// Where a key belongs: its hash scaled to the index, whose size is no power of two.
    [[nodiscard]] std::size_t home(const KeyPrint& print) const noexcept {
        return static_cast<std::size_t>(detail::multiply(print.low, index_.size()).high);
    }
    [[nodiscard]] std::size_t next(std::size_t i) const noexcept {
        return i + 1 == index_.size() ? 0 : i + 1;
    }

    /// Takes a slot of the ring out of the index, and moves those behind it up.
    void forget(std::size_t slot) noexcept {
        std::size_t hole = home(ring_[slot]);
        while (index_[hole] != slot + 1) hole = next(hole);
        for (std::size_t i = next(hole); index_[i] != 0; i = next(i)) {
            const std::size_t wanted = home(ring_[index_[i] - 1]);
            // It may move to the hole unless its home lies behind it, on the way to i.
            const bool stays =
                hole <= i ? hole < wanted && wanted <= i : hole < wanted || wanted <= i;
            if (stays) continue;
            index_[hole] = index_[i];
            hole = i;
        }
        index_[hole] = 0;
    }

    std::vector<KeyPrint> ring_;
    std::vector<std::uint32_t> index_;  // slot + 1; 0: nothing. At most half of it is used
    std::size_t size_ = 0;
    std::size_t next_slot_ = 0;
};

static_assert(sizeof(KeyPrint) == 16);

}  // namespace belay::inline BELAY_ABI
