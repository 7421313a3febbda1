// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_positions.hpp
/// WorkPositions: which entries of a log hold items, at four and a quarter bytes for each entry.
#pragma once

#include <bit>     // std::countr_zero
#include <vector>  // std::vector

#include <belay/core/assert.hpp>
#include <belay/journal/journal_format.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// For each entry from the log's base on: whether it holds an item, whether that item is plain and
/// ready to lease, and how many bytes the entry has.
///
/// A plain item has no state besides its entry: it was never leased, delayed or moved.
/// Thread safety: none of its own.
/// Allocates: in `reserve` only, and only to exceed its largest size so far.
class WorkPositions {
public:
    /// Returns the bytes that an entry of `length` bytes takes in the log.
    [[nodiscard]] static constexpr std::size_t framed(std::size_t length) noexcept {
        return journal_format::record_bytes(length);
    }

    /// Numbers entries from `first` on.
    explicit WorkPositions(std::uint64_t first) noexcept
        : first_block_{first / 64},
          base_{first},
          end_{first},
          first_held_{first},
          first_ready_{first} {}

    /// Returns whether there is capacity for one more entry.
    [[nodiscard]] bool has_space() const noexcept {
        return end_ / 64 - first_block_ < ring_.size();
    }
    /// Reserves capacity for one more entry.   Throws: std::bad_alloc; then nothing has changed.
    void reserve() {
        if (has_space()) return;
        std::vector<Block> larger_ring(ring_.empty() ? 4 : 2 * ring_.size());
        for (std::uint64_t b = first_block_; b != first_block_ + ring_.size(); ++b) {
            larger_ring[slot_of(b, larger_ring.size())] = block(b);
        }
        ring_ = std::move(larger_ring);
    }

    /// Adds entry `end()`, which takes `bytes`.   Pre: capacity is reserved.
    void add(std::size_t bytes, bool held, bool ready) noexcept {
        BELAY_INVARIANT(has_space(), "WorkPositions::add: a slot must be free");
        Block& b = block(end_ / 64);
        if (end_ % 64 == 0) b = Block{};
        b.bytes[end_ % 64] = static_cast<std::uint32_t>(bytes);
        kept_bytes_ += bytes;
        ++end_;
        if (held) {
            b.held |= bit(end_ - 1);
            held_bytes_ += bytes;
        } else {
            find_first_held();
        }
        if (ready) set_ready(end_ - 1);
    }

    /// Marks an entry that no longer holds an item.
    void release(std::uint64_t position) noexcept {
        BELAY_INVARIANT(holds(position), "WorkPositions::release: the position must hold an item");
        if (is_ready(position)) clear_ready(position);
        Block& b = block(position / 64);
        b.held &= ~bit(position);
        held_bytes_ -= b.bytes[position % 64];
        find_first_held();
    }
    void set_ready(std::uint64_t position) noexcept {
        block(position / 64).ready |= bit(position);
        if (position < first_ready_) first_ready_ = position;
        ++ready_;
    }
    /// Pre: is_ready(position).
    void clear_ready(std::uint64_t position) noexcept {
        block(position / 64).ready &= ~bit(position);
        --ready_;
    }

    /// Removes the entries before `position`.   Pre: position <= first_held().
    void drop_before(std::uint64_t position) noexcept {
        BELAY_INVARIANT(position <= first_held_,
                        "WorkPositions::drop_before: the positions must not hold an item");
        for (; base_ < position; ++base_) idle_bytes_ -= bytes_at(base_);
        first_block_ = base_ / 64;
    }

    [[nodiscard]] bool holds(std::uint64_t position) const noexcept {
        return knows(position) && (block(position / 64).held & bit(position)) != 0;
    }
    [[nodiscard]] bool is_ready(std::uint64_t position) const noexcept {
        return knows(position) && (block(position / 64).ready & bit(position)) != 0;
    }
    [[nodiscard]] std::size_t bytes_at(std::uint64_t position) const noexcept {
        return block(position / 64).bytes[position % 64];
    }

    /// Returns the number of the next entry.
    [[nodiscard]] std::uint64_t end() const noexcept { return end_; }
    /// Returns the first entry that holds an item; `end()` if there is none.
    [[nodiscard]] std::uint64_t first_held() const noexcept { return first_held_; }
    /// Returns the first entry with a plain item that is ready to lease; `end()` if there is none.
    [[nodiscard]] std::uint64_t first_ready() noexcept {
        first_ready_ = ready_ == 0 ? end_ : next(first_ready_, &Block::ready);
        return first_ready_;
    }
    [[nodiscard]] std::uint64_t next_ready(std::uint64_t from) const noexcept {
        return next(from, &Block::ready);
    }
    /// Returns the number of plain items that are ready to lease.
    [[nodiscard]] std::size_t ready() const noexcept { return ready_; }
    /// Returns the bytes of the entries that hold items.
    [[nodiscard]] std::uint64_t held_bytes() const noexcept { return held_bytes_; }
    /// Returns the bytes of all entries from `first_held()` on.
    [[nodiscard]] std::uint64_t kept_bytes() const noexcept { return kept_bytes_; }
    /// Returns the bytes of the entries before `first_held()` that are not dropped.
    [[nodiscard]] std::uint64_t idle_bytes() const noexcept { return idle_bytes_; }

private:
    struct Block {
        std::uint64_t held = 0;
        std::uint64_t ready = 0;
        std::uint32_t bytes[64]{};
    };

    static constexpr std::uint64_t bit(std::uint64_t position) noexcept {
        return std::uint64_t{1} << (position % 64);
    }
    static std::size_t slot_of(std::uint64_t b, std::size_t slots) noexcept {
        return static_cast<std::size_t>(b) & (slots - 1);
    }
    [[nodiscard]] Block& block(std::uint64_t b) noexcept { return ring_[slot_of(b, ring_.size())]; }
    [[nodiscard]] const Block& block(std::uint64_t b) const noexcept {
        return ring_[slot_of(b, ring_.size())];
    }
    [[nodiscard]] bool knows(std::uint64_t position) const noexcept {
        return position >= base_ && position < end_;
    }

    [[nodiscard]] std::uint64_t next(std::uint64_t from,
                                     std::uint64_t Block::*bits) const noexcept {
        if (from < base_) from = base_;
        while (from < end_) {
            const std::uint64_t word = block(from / 64).*bits >> (from % 64);
            if (word != 0) return from + static_cast<std::uint64_t>(std::countr_zero(word));
            from = (from / 64 + 1) * 64;
        }
        return end_;
    }
    void find_first_held() noexcept {
        while (first_held_ < end_ && !holds(first_held_)) {
            const std::size_t bytes = bytes_at(first_held_++);
            kept_bytes_ -= bytes;
            idle_bytes_ += bytes;
        }
    }

    std::vector<Block> ring_;  // its size is a power of two
    std::uint64_t first_block_;
    std::uint64_t base_;  // the first that is not dropped
    std::uint64_t end_;
    std::uint64_t first_held_;
    std::uint64_t first_ready_;  // or before it
    std::size_t ready_ = 0;
    std::uint64_t held_bytes_ = 0;
    std::uint64_t kept_bytes_ = 0;
    std::uint64_t idle_bytes_ = 0;
};

}}}  // namespace belay::detail
