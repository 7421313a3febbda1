// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_parents.hpp
/// ParentIndex: which structs of an update lie under a deleted parent, or were overwritten.
#pragma once

#include <algorithm>  // std::sort, std::upper_bound, std::lexicographical_compare, std::max
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <span>       // std::span
#include <vector>     // std::vector

#include <belay/yjs/detail/yjs_keys.hpp>
#include <belay/yjs/detail/yjs_merge.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// Appends a range, and joins it with the last one if they touch.
inline void add_range(std::vector<DeleteRange>& ranges, const DeleteRange& range) {
    if (!ranges.empty() && ranges.back().client == range.client &&
        ranges.back().clock_end() == range.clock) {
        ranges.back().len += range.len;
    } else {
        ranges.push_back(range);
    }
}

/// The structs of one update, by client and clock, and which of them lie under a deleted parent.
///
/// Yjs replaces such a struct by one of kind `gc`, which has a length only. An update names the
/// parent in the first item of a list alone. Every other item of the list refers to a neighbour.
///
/// The memory is 24 bytes for each struct, and about 60 for each value of a key.
class ParentIndex {
public:
    /// Pre: it is one update, which was checked; its blocks are sorted, its delete ranges united.
    /// Complexity: O(n log n).
    explicit ParentIndex(const Sources& sources)
        : update_{sources.updates.front()}, blocks_{sources.blocks} {
        index(sources);
        resolve_all();
    }

    /// Returns whether the struct with this number, in the order of the blocks, lies under a
    /// deleted parent, or was collected before.
    [[nodiscard]] bool is_collected(std::size_t number) const noexcept {
        return nodes_[number].mark == MarkState::collected;
    }

    /// Appends the values of keys that were overwritten, although no update deletes them. Clients
    /// that set a key at the same time do not send which value lost. Returns whether there are any.
    ///
    /// A value that follows missing content replaces nothing yet: clients do not show it either.
    /// Complexity: O(n log n).
    bool add_overwritten(std::vector<DeleteRange>& deletes) {
        if (has_circle_ || (lacks_content_ && !find_limits())) return false;
        KeyedValues values;
        for_each_keyed([&](const Struct& s, std::uint32_t) { values.add(s); });
        if (!values.find_last()) return false;
        std::vector<DeleteRange> lost;
        bool has_type = false;
        DeletedRuns deleted{deletes};
        for_each_keyed([&](Struct s, std::uint32_t number) {
            if (values.is_last({s.client, s.clock_end() - 1})) --s.len;
            if (s.len == 0 || s.kind() == ref::deleted || deleted.hold(s)) return;
            add_range(lost, {s.client, s.clock, s.len});
            has_type = has_type || nodes_[number].takes_children;
            nodes_[number].takes_children = false;
        });
        if (has_type) resolve_all();
        deletes.insert(deletes.end(), lost.begin(), lost.end());
        return !lost.empty();
    }

private:
    enum class MarkState : std::uint8_t { unknown, visited, kept, keyed, collected };
    struct Node {
        std::uint64_t clock = 0;
        const std::byte* at = nullptr;
        MarkState mark = MarkState::unknown;
        bool is_gap = false;
        bool takes_children = false;  ///< a shared type that is not deleted
        MarkState in_parent =
            MarkState::unknown;  ///< its mark if that of the parent is not `collected`
    };
    static constexpr std::uint32_t none = 0xFFFFFFFFU;

    void index(const Sources& sources) {
        std::size_t count = 0;
        for (const Block& block : blocks_) count += block.structs;
        BELAY_INVARIANT(count < none, "ParentIndex: at most 2^32 - 2 structs");
        nodes_.reserve(count);
        firsts_.reserve(blocks_.size() + 1);
        ends_.reserve(blocks_.size());
        DeletedRuns deleted{sources.deletes};
        for (Block block : blocks_) {
            firsts_.push_back(static_cast<std::uint32_t>(nodes_.size()));
            lacks_content_ = lacks_content_ || block.clock != 0;
            while (block.structs > 0) {
                const Struct s = sources.take(block);
                Node node;
                node.clock = s.clock;
                node.at = s.begin;
                node.is_gap = s.kind() == ref::skip;
                node.takes_children = s.kind() == ref::type && !deleted.hold(s);
                if (!s.is_item()) node.mark = node.is_gap ? MarkState::kept : MarkState::collected;
                lacks_content_ = lacks_content_ || node.is_gap;
                nodes_.push_back(node);
            }
            ends_.push_back(block.clock);
        }
        firsts_.push_back(static_cast<std::uint32_t>(nodes_.size()));
    }

    void resolve_all() {
        for (Node& node : nodes_) {
            if (node.mark != MarkState::collected && !node.is_gap) node.mark = MarkState::unknown;
        }
        std::vector<std::uint32_t> path;
        for (std::uint32_t i = 0; i < nodes_.size(); ++i) resolve(i, path);
    }

    /// Returns the number of the block of a client; that of all blocks if there is none.
    [[nodiscard]] std::size_t block_of(std::uint64_t client) const noexcept {
        const auto block = std::lower_bound(
            blocks_.begin(), blocks_.end(), client,
            [](const Block& b, std::uint64_t wanted) { return b.client > wanted; });
        if (block == blocks_.end() || block->client != client) return blocks_.size();
        return static_cast<std::size_t>(block - blocks_.begin());
    }
    /// Returns the number of the struct that has a clock; `none` if it is not in the update.
    [[nodiscard]] std::uint32_t find(Id id) const noexcept {
        const std::size_t block = block_of(id.client);
        if (block == blocks_.size()) return none;
        if (id.clock < blocks_[block].clock || id.clock >= ends_[block]) return none;
        const auto at = [this](std::uint32_t i) {
            return nodes_.begin() + static_cast<std::ptrdiff_t>(i);
        };
        const auto behind = std::upper_bound(
            at(firsts_[block]), at(firsts_[block + 1]), id.clock,
            [](std::uint64_t clock, const Node& node) { return clock < node.clock; });
        const auto found = static_cast<std::uint32_t>(behind - nodes_.begin() - 1);
        return nodes_[found].is_gap ? none : found;
    }

    /// Finds where the content of each client ends that refers to nothing that is missing, directly
    /// or through other clients. Returns false after some rounds, which no honest client needs.
    [[nodiscard]] bool find_limits() {
        limits_ = ends_;
        for (int rounds = 0; rounds < 4; ++rounds) {
            bool lowered = false;
            for (std::size_t block = 0; block < blocks_.size(); ++block) {
                const std::uint64_t limit = limit_of(block);
                lowered = lowered || limit < limits_[block];
                limits_[block] = limit;
            }
            if (!lowered) return true;
        }
        return false;
    }
    [[nodiscard]] std::uint64_t limit_of(std::size_t block) const noexcept {
        if (blocks_[block].clock != 0) return 0;
        const auto is_missing = [this](bool is_there, Id id) {
            if (!is_there) return false;
            const std::size_t other = block_of(id.client);
            return other == blocks_.size() || id.clock >= limits_[other];
        };
        for (std::uint32_t i = firsts_[block]; i < firsts_[block + 1]; ++i) {
            const Node& node = nodes_[i];
            if (node.clock >= limits_[block]) break;
            if (node.is_gap) return node.clock;
            const Struct s = head_of(node);
            if (is_missing(s.has(has_origin), s.origin) ||
                is_missing(s.has(has_right_origin), s.right_origin) ||
                is_missing(s.has_parent, s.parent)) {
                return node.clock;
            }
        }
        return limits_[block];
    }

    /// Follows neighbours and parents until the mark of one is known. All on the way share it.
    /// Items that refer to each other in a circle are never shown by Yjs, and are kept.
    void resolve(std::uint32_t at, std::vector<std::uint32_t>& path) {
        if (nodes_[at].mark != MarkState::unknown) return;
        MarkState mark = MarkState::kept;
        path.clear();
        while (at != none && nodes_[at].mark == MarkState::unknown) {
            nodes_[at].mark = MarkState::visited;
            path.push_back(at);
            at = next(nodes_[at], mark);
        }
        if (at != none) {
            has_circle_ = has_circle_ || nodes_[at].mark == MarkState::visited;
            mark = nodes_[at].mark == MarkState::visited ? MarkState::kept : nodes_[at].mark;
        }
        for (; !path.empty(); path.pop_back()) {
            Node& node = nodes_[path.back()];
            if (node.in_parent != MarkState::unknown && mark != MarkState::collected)
                mark = node.in_parent;
            node.mark = mark;
        }
    }

    /// Returns the struct whose mark decides that of this one. If there is none, `mark` is it.
    [[nodiscard]] std::uint32_t next(Node& node, MarkState& mark) noexcept {
        const Struct s = head_of(node);
        if (s.has(has_origin | has_right_origin)) {
            const std::uint32_t neighbour = find(s.has(has_origin) ? s.origin : s.right_origin);
            lacks_content_ = lacks_content_ || neighbour == none;
            return neighbour;
        }
        node.in_parent = s.has(has_parent_sub) ? MarkState::keyed : MarkState::kept;
        if (!s.has_parent) return none;
        const std::uint32_t parent = find(s.parent);
        lacks_content_ = lacks_content_ || parent == none;
        if (parent == none || nodes_[parent].takes_children) return parent;
        mark = MarkState::collected;
        return none;
    }

    [[nodiscard]] Struct head_of(const Node& node) const noexcept {
        Lib0Reader in{BytesView{node.at, update_.data() + update_.size()}};
        return StructReader<false>{in, nesting_ceiling}.read_place({});
    }

    /// Calls `f(struct, number)` for the values of keys. It reads only the heads of the structs.
    template <class F>
    void for_each_keyed(F&& f) const {
        for (std::size_t block = 0; block < blocks_.size(); ++block) {
            const std::uint32_t end = firsts_[block + 1];
            for (std::uint32_t i = firsts_[block]; i < end; ++i) {
                if (nodes_[i].mark != MarkState::keyed) continue;
                if (!limits_.empty() && nodes_[i].clock >= limits_[block]) break;
                Struct s = head_of(nodes_[i]);
                s.client = blocks_[block].client;
                s.clock = nodes_[i].clock;
                s.len = (i + 1 < end ? nodes_[i + 1].clock : ends_[block]) - s.clock;
                f(s, i);
            }
        }
    }

    BytesView update_;
    std::span<const Block> blocks_;
    std::vector<std::uint32_t> firsts_;  ///< the first struct of each block, and one past the last
    std::vector<std::uint64_t> ends_;    ///< the clock after each block
    std::vector<Node> nodes_;
    std::vector<std::uint64_t> limits_;  ///< if content is missing, where that of each block ends
    bool lacks_content_ = false;         ///< an item refers to content that is not in the update
    bool has_circle_ = false;            ///< items refer to each other in a circle
};

}}}  // namespace belay::yjs::detail
