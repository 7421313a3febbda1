// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/element_table.hpp
/// ElementTable: the elements of one session, by their ids.
#pragma once

#include <cstddef>      // std::byte, std::size_t
#include <cstdint>      // std::uint32_t, std::uint64_t
#include <string>       // std::string
#include <string_view>  // std::string_view
#include <utility>      // std::exchange, std::move
#include <vector>       // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/sync/detail/tag_index.hpp>
#include <belay/sync/operation_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns whether two names are equal. Most are short, and a call of memcmp would take longer than
/// the comparison.
[[nodiscard]] inline bool names_equal(std::string_view a, std::string_view b) noexcept {
    const std::size_t size = a.size();
    if (size != b.size()) return false;
    if (size > 16) return a == b;
    if (size >= 8) {
        const auto word = [](std::string_view name, std::size_t at) {
            return load_le<std::uint64_t>(as_bytes(name).data() + at);
        };
        // The second word overlaps the first.
        return word(a, 0) == word(b, 0) && word(a, size - 8) == word(b, size - 8);
    }
    for (std::size_t i = 0; i < size; ++i) {
        if (a[i] != b[i]) return false;
    }
    return true;
}

/// Rows by name. A row never moves in memory.
///
/// Unlike the standard's unordered map, a look-up reads one line of the index and one row, and not
/// the row before it, too. A row is not a separate allocation.
template <class Row>
class ElementTable {
    static constexpr std::uint32_t in_use = 0xFFFF'FFFFU;

public:
    struct Node {
        std::string name{};
        std::uint32_t at = 0;         // its number
        std::uint32_t next = in_use;  // of the free list
        Row row{};
    };
    /// The most rows.
    static constexpr std::size_t most = 0xFFFF'FFFEU;

    /// Returns the tag by which the index finds a name: 32 bits of a hash, which nothing stores.
    [[nodiscard]] static std::uint32_t tag_of(std::string_view name) noexcept {
        const BytesView bytes = as_bytes(name);
        std::uint64_t hash = bytes.size();
        std::uint64_t last = 0;
        if (bytes.size() < 8) {
            for (const std::byte one : bytes) last = last << 8U | std::to_integer<unsigned>(one);
        } else {
            const std::size_t end = bytes.size() - 8;
            for (std::size_t i = 0; i < end; i += 8) {
                hash = mix_word(hash, load_le<std::uint64_t>(bytes.data() + i));
            }
            // It overlaps the word before it, which is faster than a part of a word.
            last = load_le<std::uint64_t>(bytes.data() + end);
        }
        hash = mix_word(hash, last);
        return static_cast<std::uint32_t>(hash ^ hash >> 32U);
    }
    [[nodiscard]] Node* find(std::string_view name) noexcept {
        const std::uint32_t at = index_.find(tag_of(name), [&](std::uint32_t number) {
            return names_equal(node(number).name, name);
        });
        return at != 0 ? &node(at) : nullptr;
    }
    /// Prefetches the entry of the index that find() will read.
    void fetch(std::string_view name) const noexcept { index_.fetch(tag_of(name)); }
    /// Adds a row for a name that has none.   Throws: std::bad_alloc; nothing has changed then.
    [[nodiscard]] Node& insert(std::string_view name) {
        BELAY_PRECONDITION(count_ < most, "ElementTable::insert: the table must have a free slot");
        std::string kept{name};
        index_.prepare(count_);
        if (free_ == 0) add_node();
        Node& made = node(free_);
        free_ = std::exchange(made.next, in_use);
        made.name = std::move(kept);
        index_.insert({tag_of(name), made.at});
        ++count_;
        return made;
    }
    void erase(Node& gone) noexcept {
        index_.erase({tag_of(gone.name), gone.at});
        gone.name = {};
        gone.row = Row{};
        gone.next = free_;
        free_ = gone.at;
        --count_;
    }
    [[nodiscard]] bool empty() const noexcept { return count_ == 0; }
    [[nodiscard]] std::size_t size() const noexcept { return count_; }
    /// Returns the row with a number that insert() has given out; it may be free again.
    [[nodiscard]] const Node& numbered(std::uint32_t at) const noexcept {
        return chunks_[(at - 1) / in_chunk][(at - 1) % in_chunk];
    }
    /// Calls `visit(node)` for each row.
    template <class Visit>
    void for_each(Visit visit) const {
        for (const std::vector<Node>& chunk : chunks_) {
            for (const Node& one : chunk) {
                if (one.next == in_use) visit(one);
            }
        }
    }

private:
    static constexpr std::size_t in_chunk = 256;

    [[nodiscard]] Node& node(std::uint32_t at) noexcept {
        return chunks_[(at - 1) / in_chunk][(at - 1) % in_chunk];
    }
    void add_node() {
        if (chunks_.empty() || chunks_.back().size() == in_chunk) {
            std::vector<Node> chunk;
            chunk.reserve(in_chunk);
            chunks_.push_back(std::move(chunk));
        }
        Node& made = chunks_.back().emplace_back();
        made.next = 0;
        made.at =
            static_cast<std::uint32_t>((chunks_.size() - 1) * in_chunk + chunks_.back().size());
        free_ = made.at;
    }

    TagIndex index_;
    // All full except the last; the nodes of a chunk do not move.
    std::vector<std::vector<Node>> chunks_;
    std::uint32_t free_ = 0;
    std::size_t count_ = 0;
};

}}}  // namespace belay::detail
