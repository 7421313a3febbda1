// SPDX-License-Identifier: MIT
/// \file belay/sim/detail/disk_inode.hpp
/// DiskInode: the bytes of one simulated file, as programs see them and as a crash leaves them.
#pragma once

#include <algorithm>  // std::copy_n, std::min, std::max, std::sort
#include <vector>     // std::vector

#include <belay/core/bytes.hpp>

namespace belay { inline namespace BELAY_ABI { namespace sim::detail {

/// Decides one of two outcomes of a crash. A source that enumerates outcomes has
/// `choose(options)`.
template <class Bits>
[[nodiscard]] bool is_kept(Bits& bits) {
    if constexpr (requires { bits.choose(2U); }) {
        return bits.choose(2) != 0;
    } else {
        return (bits() & 1) != 0;
    }
}

/// The bytes of a file in sectors of 512 bytes. A sector is the unit in which a real disk writes.
/// After a crash it may be old, new, torn or noise.
///
/// A journal syncs a long file after each short write, so a sync visits only the sectors that
/// changed since the last one.
///
/// Thread safety: distinct objects safe.
class DiskInode {
public:
    DiskInode() = default;
    /// Creates a file whose bytes are durable.
    explicit DiskInode(Bytes bytes)
        : now_{bytes}, durable_{std::move(bytes)}, is_dirty_(sectors(now_.size()), false) {}

    /// Returns the bytes that programs see.
    [[nodiscard]] const Bytes& bytes() const noexcept { return now_; }
    /// Returns the sectors that the next sync copies, each of them once, in no order.
    [[nodiscard]] const std::vector<std::size_t>& dirty() const noexcept { return dirty_; }

    // Without memory, the following functions throw std::bad_alloc and change nothing.

    /// Makes the file at least this long.
    void grow(std::size_t bytes) {
        if (bytes <= now_.size()) return;
        const std::size_t from = is_dirty_.size();
        const std::size_t to = sectors(bytes);
        reserve(dirty_, dirty_.size() + (to - from));
        reserve(is_dirty_, to);
        reserve(sizes_, sizes_.size() + 1);
        now_.resize(bytes);
        sizes_.push_back(bytes);
        is_dirty_.resize(to, false);
        for (std::size_t s = from; s < to; ++s) mark(s);
    }
    /// Sets the size. New bytes are zeros.
    void resize(std::size_t bytes) {
        if (bytes >= now_.size()) return grow(bytes);
        reserve(dirty_, dirty_.size() + 1);
        reserve(sizes_, sizes_.size() + 1);
        now_.resize(bytes);
        sizes_.push_back(bytes);
        is_dirty_.resize(sectors(bytes));
        std::erase_if(dirty_, [&](std::size_t s) { return s >= is_dirty_.size(); });
        if (bytes % sector_bytes != 0) mark(is_dirty_.size() - 1);
    }
    void write(std::size_t offset, BytesView from) {
        if (from.empty()) return;
        const std::size_t end = offset + from.size();
        // Each sector is there at most once.
        reserve(dirty_, std::max(sectors(end), is_dirty_.size()));
        reserve(is_dirty_, sectors(end));
        reserve(now_, end);
        reserve(sizes_, sizes_.size() + from.size() / page_bytes + 2);
        // A file grows by a page at a time.
        std::size_t size = std::max(offset, now_.size());
        while ((size = (size / page_bytes + 1) * page_bytes) < end) grow(size);
        grow(end);
        std::copy_n(from.begin(), from.size(), now_.begin() + static_cast<std::ptrdiff_t>(offset));
        for (std::size_t s = offset / sector_bytes; s < sectors(end); ++s) mark(s);
    }
    /// Flips a bit that is on the medium, and that programs see.   Pre: there is such a bit.
    void flip(std::uint64_t bit) noexcept {
        const auto at = static_cast<std::size_t>(bit / 8);
        const auto mask = static_cast<std::byte>(1U << bit % 8);
        now_[at] ^= mask;
        if (at < durable_.size()) durable_[at] ^= mask;
    }
    /// Makes all bytes durable.
    void sync() {
        durable_.resize(now_.size());
        for (const std::size_t s : dirty_) {
            const std::size_t begin = s * sector_bytes;
            const std::size_t count = std::min(sector_bytes, now_.size() - begin);
            const auto at = static_cast<std::ptrdiff_t>(begin);
            std::copy_n(now_.begin() + at, count, durable_.begin() + at);
        }
        forget_dirty();
        sizes_.clear();
    }
    /// The effect of a failed sync: the system treats all bytes as durable.
    void forget_dirty() {
        for (const std::size_t s : dirty_) is_dirty_[s] = false;
        dirty_.clear();
    }

    /// Decides what is left after a crash.
    template <class Bits>
    void crash(Bits& bits) {
        // The size is separate metadata, whose changes are durable in their order. It may be
        // durable before the bytes are, which are zeros then.
        const std::size_t kept = sizes_.empty() ? 0 : changes_kept(bits, sizes_.size());
        for (std::size_t i = 0; i < kept; ++i) durable_.resize(sizes_[i]);
        // The draws belong to the sectors in the order of the file.
        std::sort(dirty_.begin(), dirty_.end());
        if constexpr (requires { bits.choose(2U); }) {
            for (const std::size_t s : dirty_) {
                // Outcomes that do not differ are enumerated once.
                if (differs(s)) settle_sector(s, draw_of(bits));
            }
        } else {
            // Without this draw, no file of many sectors would ever be old or new as a whole.
            const std::uint64_t all = dirty_.size() > 1 ? bits() % 16 : 2;
            for (const std::size_t s : dirty_) settle_sector(s, Draw{all < 2 ? all : bits()});
        }
        forget_dirty();
        sizes_.clear();
        now_ = durable_;
        is_dirty_.resize(sectors(now_.size()), false);
    }

private:
    static constexpr std::size_t sector_bytes = 512;
    static constexpr std::size_t page_bytes = 4096;

    static std::size_t sectors(std::size_t bytes) noexcept {
        return (bytes + sector_bytes - 1) / sector_bytes;
    }

    /// Reserves space for `count` elements, and for as many again if the vector must grow.
    template <class Vector>
    static void reserve(Vector& vector, std::size_t count) {
        if (count > vector.capacity()) vector.reserve(std::max(count, 2 * vector.capacity()));
    }
    /// Pre: `dirty_` has space for one more.
    void mark(std::size_t sector) {
        if (is_dirty_[sector]) return;
        dirty_.push_back(sector);
        is_dirty_[sector] = true;
    }

    /// Decides how many of the changes of the size are durable.   Pre: changes > 0.
    template <class Bits>
    [[nodiscard]] static std::size_t changes_kept(Bits& bits, std::size_t changes) {
        if constexpr (requires { bits.choose(2U); }) {
            return static_cast<std::size_t>(bits.choose(changes + 1));
        } else {
            const std::uint64_t draw = bits();
            return (draw & 1) != 0 ? changes : static_cast<std::size_t>((draw >> 1) % changes);
        }
    }

    /// Random bits, which decide about a sector.
    struct Draw {
        std::uint64_t bits;
    };

    /// Returns the outcome of a sector that is enumerated.
    template <class Choices>
    [[nodiscard]] static Draw draw_of(Choices& choices) {
        // Cut in the middle of the sector; 256 << 8 is 1 modulo 5.
        constexpr std::uint64_t middle = 256U << 8U;
        return Draw{middle + (choices.choose(5) + 4) % 5};
    }
    [[nodiscard]] bool differs(std::size_t sector) const noexcept {
        const std::size_t begin = std::min(sector * sector_bytes, durable_.size());
        const std::size_t end = std::min({begin + sector_bytes, now_.size(), durable_.size()});
        const auto from = static_cast<std::ptrdiff_t>(begin);
        return !std::equal(now_.begin() + from, now_.begin() + static_cast<std::ptrdiff_t>(end),
                           durable_.begin() + from);
    }

    void settle_sector(std::size_t sector, Draw drawn) {
        const std::uint64_t draw = drawn.bits;
        const std::size_t begin = sector * sector_bytes;
        const std::size_t end = std::min({begin + sector_bytes, now_.size(), durable_.size()});
        const std::size_t cut = begin + (draw >> 8) % sector_bytes;
        for (std::size_t i = begin; i < end; ++i) {
            std::byte& to = durable_[i];
            const std::byte from = now_[i];
            if (to == from) continue;
            switch (draw % 5) {
                case 0:
                    break;  // lost
                case 1:
                    to = from;
                    break;  // kept
                case 2:
                    to = i < cut ? from : to;
                    break;  // torn
                case 3:
                    to = i < cut ? to : from;
                    break;  // torn, back to front
                default:
                    to = static_cast<std::byte>(draw >> (i % 56));
                    break;  // noise
            }
        }
    }

    Bytes now_;
    Bytes durable_;                   // the bytes that a crash does not change
    std::vector<bool> is_dirty_;      // per sector: it was changed since the last sync
    std::vector<std::size_t> dirty_;  // the sectors for which `is_dirty_` is true
    std::vector<std::size_t> sizes_;  // that the file had since the last sync, in this order
};

}}}  // namespace belay::sim::detail
