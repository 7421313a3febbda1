// SPDX-License-Identifier: MIT
/// \file belay/yjs/detail/yjs_garbage.hpp
/// collected: writes an update without its deleted content, as the garbage collection of Yjs does.
/// ParentIndex: which structs of an update lie under a deleted parent, or were overwritten.
/// KeyedValues: which value of a key comes last, and is the one that counts.
#pragma once

#include <algorithm>  // std::equal, std::lower_bound, std::sort, std::upper_bound
#include <array>      // std::array
#include <cstddef>    // std::size_t
#include <cstdint>    // std::uint64_t
#include <span>       // std::span
#include <utility>    // std::exchange
#include <vector>     // std::vector

#include <belay/yjs/detail/yjs_merge.hpp>
#include <belay/yjs/detail/yjs_struct.hpp>

namespace belay { inline namespace BELAY_ABI { namespace yjs::detail {

/// All values that the keys of maps had, and of attributes.
///
/// The values of a key are a list, of which only the last counts. A client adds a value after the
/// last one that it has. Values that were added after the same one are ordered by client. Each of
/// them is followed by those that were added after it.
///
/// Source: yjs 13.6, src/structs/Item.js (integrate), for items without a right neighbour.
class KeyedValues {
public:
    /// Adds a struct of such a list.   Pre: its bytes outlive this object.
    void add(const Struct& s) {
        is_ordered_ = is_ordered_ && !s.has(has_right_origin);
        const DeleteRange value{s.client, s.clock, s.len};
        if (s.has(has_origin)) {
            later_.push_back({s.origin, value});
        } else {
            firsts_.push_back({s.head(), value});
        }
    }

    /// Finds the last value of each key. Returns false if Yjs orders them in another way, which it
    /// does for no value that it has written itself.
    /// Complexity: O(n log n).
    [[nodiscard]] bool find_last() {
        std::sort(later_.begin(), later_.end(), [](const Later& a, const Later& b) {
            return a.origin != b.origin ? a.origin < b.origin : a.value.client > b.value.client;
        });
        std::sort(firsts_.begin(), firsts_.end(), [](const First& a, const First& b) {
            if (is_same_key(a, b)) return a.value.client > b.value.client;
            return std::lexicographical_compare(a.key.begin(), a.key.end(), b.key.begin(),
                                                b.key.end());
        });
        for (std::size_t i = 0; i < firsts_.size() && is_ordered_; ++i) {
            if (i == 0 || !is_same_key(firsts_[i - 1], firsts_[i])) follow(firsts_[i].value);
            const bool twice = i > 0 && is_same_key(firsts_[i - 1], firsts_[i]) &&
                               firsts_[i - 1].value.client == firsts_[i].value.client;
            is_ordered_ = is_ordered_ && !twice;
        }
        std::sort(last_.begin(), last_.end());
        return is_ordered_;
    }

    /// Returns whether a clock is the last value of its key.   Pre: find_last() returned true.
    [[nodiscard]] bool is_last(Id id) const noexcept {
        return std::binary_search(last_.begin(), last_.end(), id);
    }

private:
    struct First {
        BytesView key;  ///< the parent and the key, as they are written
        DeleteRange value;
    };
    struct Later {
        Id origin;
        DeleteRange value;
    };

    [[nodiscard]] static bool is_same_key(const First& a, const First& b) noexcept {
        return std::equal(a.key.begin(), a.key.end(), b.key.begin(), b.key.end());
    }

    /// Goes from a value to the last one after it.
    void follow(DeleteRange value) {
        for (;;) {
            const Id at{value.client, value.clock};
            const auto next = std::lower_bound(
                later_.begin(), later_.end(), at,
                [](const Later& later, const Id& id) { return later.origin < id; });
            const std::uint64_t end = value.clock_end();
            if (next == later_.end() || next->origin.client != value.client ||
                next->origin.clock >= end) {
                return last_.push_back({value.client, end - 1});
            }
            const auto other = next + 1;
            if (other != later_.end() && other->origin == next->origin &&
                other->value.client == next->value.client) {
                is_ordered_ = false;
                return;
            }
            // Within a struct, each clock was added after the one before it.
            const std::uint64_t behind = next->origin.clock + 1;
            if (behind < end && next->value.client == value.client) {
                is_ordered_ = false;
                return;
            }
            if (behind < end && next->value.client < value.client) {
                value = {value.client, behind, end - behind};
            } else {
                value = next->value;
            }
        }
    }

    std::vector<First> firsts_;
    std::vector<Later> later_;
    std::vector<Id> last_;
    bool is_ordered_ = true;
};

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

/// Writes structs and parts of structs. Runs of deleted content are written as one struct each.
class CollectedWriter {
public:
    explicit CollectedWriter(std::size_t bytes) { writer_.reserve(bytes); }

    void begin_block(Id first) noexcept { writer_.begin_block(first); }
    void end_block() {
        end_run();
        coalescer_.end_run();
        writer_.end_block();
    }

    /// Writes a struct that stays as it is. Its bytes must exist until the block has ended.
    void put(const Struct& s) {
        end_run();
        coalescer_.put(s);
    }
    /// Writes the units of a struct that are not deleted; some others of it are.
    /// Pre: `values` are these units.
    void put_part(const Struct& s, const DeleteRange& part, BytesView values) {
        end_run();
        // Deleted content lies between the parts of a struct. A run has thus two parts at most: it
        // begins with the end of a struct, and ends with the beginning of another.
        Bytes& bytes = parts_[std::exchange(odd_, !odd_) ? 1 : 0];
        bytes.clear();
        append_head(bytes, s, part.clock, s.kind());
        append_varuint(bytes, s.kind() == ref::string ? values.size() : part.len);
        append(bytes, values);
        Lib0Reader in{bytes};
        coalescer_.put(StructReader<false>{in, nesting_ceiling}.read({s.client, part.clock}));
    }
    /// Writes deleted units of a struct, without their content.
    void put_deleted(const Struct& s, const DeleteRange& part) {
        coalescer_.end_run();
        const bool joins = len_ > 0 && !head_.empty() && follows(s, part.clock);
        if (!joins) {
            end_run();
            append_head(head_, s, part.clock, ref::deleted);
        }
        last_ = s;
        len_ += part.len;
    }
    /// Writes units that lie under a deleted parent.
    void put_collected(std::uint64_t len) {
        coalescer_.end_run();
        if (!head_.empty()) end_run();
        len_ += len;
    }

    [[nodiscard]] Bytes finish(std::span<const DeleteRange> deletes) {
        return writer_.finish(deletes);
    }
    [[nodiscard]] std::size_t structs() const noexcept { return writer_.structs(); }

private:
    /// Returns whether Yjs joins units, from `clock` on, with those that were written last.
    [[nodiscard]] bool follows(const Struct& s, std::uint64_t clock) const noexcept {
        const bool is_next =
            clock != s.clock || (s.has(has_origin) && s.origin == Id{s.client, s.clock - 1});
        return is_next && s.has(has_right_origin) == last_.has(has_right_origin) &&
               s.right_origin == last_.right_origin;
    }
    void end_run() {
        if (len_ == 0) return;
        Bytes& out = writer_.out();
        if (head_.empty()) out.push_back(static_cast<std::byte>(ref::gc));
        append(out, head_);
        append_varuint(out, std::exchange(len_, 0));
        writer_.wrote_struct();
        head_.clear();
    }

    UpdateWriter writer_;
    Coalescer coalescer_{writer_};
    std::array<Bytes, 2> parts_;
    bool odd_ = false;
    Bytes head_;             ///< of the run of deleted units; empty for collected ones
    Struct last_;            ///< the last struct of this run
    std::uint64_t len_ = 0;  ///< the length of this run; 0 if there is none
};

/// Reads the values of a struct in parts, from left to right.
class ValueCutter {
public:
    explicit ValueCutter(const Struct& s) noexcept : struct_{s}, rest_{s.values()} {}

    /// Returns the values of the next units. The result is valid until the next call.
    [[nodiscard]] BytesView take(std::uint64_t units) {
        if (struct_.kind() != ref::string) {
            const BytesView values = rest_;
            rest_ = after_values(struct_, rest_, units);
            return values.first(values.size() - rest_.size());
        }
        // Half of a surrogate pair is not UTF-8. Yjs writes the replacement character for it, too.
        const BytesView half = as_bytes("\xEF\xBF\xBD");
        text_.clear();
        if (std::exchange(cuts_pair_, false)) {
            append(text_, half);
            --units;
        }
        const auto cut = ::belay::detail::cut_utf16(as_text(rest_), units);
        cuts_pair_ = cut.cuts_pair;
        append(text_, rest_.first(cut.bytes - (cuts_pair_ ? 4 : 0)));
        if (cuts_pair_) append(text_, half);
        rest_ = rest_.subspan(cut.bytes);
        return text_;
    }

private:
    const Struct& struct_;
    BytesView rest_;
    Bytes text_;
    bool cuts_pair_ = false;
};

/// Writes a struct of which some units may be deleted.   Complexity: O(its bytes).
inline void put_parts(CollectedWriter& writer, const Struct& s, DeletedRuns& deleted) {
    DeleteRange gone = deleted.next({s.client, s.clock}, s.clock_end());
    if (gone.len == 0) return writer.put(s);
    if (gone.len == s.len) return writer.put_deleted(s, gone);
    ValueCutter values{s};
    for (std::uint64_t clock = s.clock; clock < s.clock_end(); clock = gone.clock_end()) {
        gone = deleted.next({s.client, clock}, s.clock_end());
        const DeleteRange kept{s.client, clock, gone.clock - clock};
        if (kept.len > 0) writer.put_part(s, kept, values.take(kept.len));
        if (gone.len == 0) continue;
        static_cast<void>(values.take(gone.len));
        writer.put_deleted(s, gone);
    }
}

/// Writes an update as Yjs writes a document whose deleted content was collected:
/// - a deleted struct keeps its place and its length, and loses its content;
/// - so does the value of a key that another value replaced at the same time;
/// - what lies under a deleted parent keeps its length only;
/// - neighbours are joined.
///
/// Afterwards, the delete ranges of `sources` are those of the result. They also have what every
/// client deletes by itself: content that was written under a parent that another client deleted,
/// and all values of a key except the last one.
///
/// Sets `structs` to the number of structs of the result, with the gaps between them.
///
/// Pre: it is one update, which was checked.   Complexity: O(n log n).
[[nodiscard]] inline Bytes collected(Sources& sources, std::size_t& structs) {
    sources.sort_blocks();
    unite_ranges(sources.deletes);
    ParentIndex index{sources};
    if (index.add_overwritten(sources.deletes)) unite_ranges(sources.deletes);
    CollectedWriter writer{sources.updates.front().size()};
    DeletedRuns deleted{sources.deletes};
    std::vector<DeleteRange> found;
    std::size_t number = 0;
    for (Block block : sources.blocks) {
        writer.begin_block({block.client, block.clock});
        while (block.structs > 0) {
            const Struct s = sources.take(block);
            if (s.kind() == ref::skip) {
                writer.put(s);
            } else if (index.is_collected(number)) {
                const DeleteRange whole{s.client, s.clock, s.len};
                if (s.is_item() && !deleted.hold(s)) add_range(found, whole);
                writer.put_collected(s.len);
            } else if (s.kind() == ref::deleted) {
                writer.put_deleted(s, {s.client, s.clock, s.len});
            } else {
                put_parts(writer, s, deleted);
            }
            ++number;
        }
        writer.end_block();
    }
    if (!found.empty()) {
        sources.deletes.insert(sources.deletes.end(), found.begin(), found.end());
        unite_ranges(sources.deletes);
    }
    structs = writer.structs();
    return writer.finish(sources.deletes);
}

}}}  // namespace belay::yjs::detail
