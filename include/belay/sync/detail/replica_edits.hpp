// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replica_edits.hpp
/// ReplicaEdits: the edits of a Replica that the server has not decided, in memory and in a log.
/// ReplicaSender: sends them, and notes the outcome of each.
#pragma once

#include <algorithm>      // std::max, std::min
#include <concepts>       // std::same_as
#include <cstddef>        // std::ptrdiff_t, std::size_t
#include <cstdint>        // std::uint64_t
#include <functional>     // std::equal_to, std::less
#include <iterator>       // std::forward_iterator_tag
#include <map>            // std::map
#include <memory>         // std::make_unique_for_overwrite, std::unique_ptr
#include <optional>       // std::optional
#include <set>            // std::set
#include <span>           // std::span
#include <string>         // std::string
#include <string_view>    // std::string_view
#include <system_error>   // std::error_code
#include <unordered_map>  // std::unordered_map
#include <unordered_set>  // std::unordered_set
#include <utility>        // std::as_const, std::exchange, std::forward, std::move, std::pair
#include <vector>         // std::vector

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/detail/heap.hpp>
#include <belay/core/detail/scope_exit.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/detail/edit_record.hpp>
#include <belay/sync/detail/sync_bytes.hpp>
#include <belay/sync/replica_options.hpp>
#include <belay/sync/stamp.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A list of pairs of a number and an edit, in the order of the numbers, in blocks of memory.
///
/// An iterator is a place in the list. So push_back() invalidates no iterator and no reference. An
/// erasure invalidates those of the erased edit and the later ones.
///
/// Complexity: push_back() is constant, and at() nearly so, if few edits were erased in between.
template <class Edit>
class EditList {
public:
    using Entry = std::pair<std::uint64_t, Edit>;

    class iterator {
    public:
        using iterator_category = std::forward_iterator_tag;
        using value_type = Entry;
        using difference_type = std::ptrdiff_t;
        using pointer = Entry*;
        using reference = Entry&;

        iterator() noexcept = default;
        iterator(const EditList& of, std::size_t place) noexcept : list_{&of}, place_{place} {}
        [[nodiscard]] Entry& operator*() const noexcept { return list_->entry(place_); }
        [[nodiscard]] Entry* operator->() const noexcept { return &list_->entry(place_); }
        iterator& operator++() noexcept { return ++place_, *this; }
        iterator operator++(int) noexcept { return {*list_, place_++}; }
        friend bool operator==(const iterator&, const iterator&) noexcept = default;
        [[nodiscard]] std::size_t place() const noexcept { return place_; }

    private:
        const EditList* list_ = nullptr;
        std::size_t place_ = 0;
    };

    [[nodiscard]] iterator begin() const noexcept { return {*this, 0}; }
    [[nodiscard]] iterator end() const noexcept { return {*this, size_}; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
    [[nodiscard]] Edit& back() const noexcept { return entry(size_ - 1).second; }

    /// Adds an edit.   Pre: `number` is above all others.
    template <class Made>
    Edit& push_back(std::uint64_t number, Made&& made) {
        if (size_ == blocks_.size() * block_size)
            blocks_.push_back(std::make_unique_for_overwrite<Block>());
        auto& slot = blocks_[size_ / block_size]->slots[size_ % block_size];
        Entry& entry = slot.emplace(number, std::forward<Made>(made));
        ++size_;
        return entry.second;
    }
    /// Returns the edit with a number.   Pre: it is in the list.
    [[nodiscard]] Edit& at(std::uint64_t number) const noexcept {
        return entry(place_of(number)).second;
    }
    void pop_back() noexcept {
        --size_;
        blocks_[size_ / block_size]->slots[size_ % block_size].reset();
    }
    /// Erases an edit.   Complexity: linear in the later ones.
    void erase(const iterator& at) {
        for (std::size_t i = at.place(); i + 1 < size_; ++i) entry(i) = std::move(entry(i + 1));
        pop_back();
    }
    /// Erases the edits for which `is_erased(entry)` is true.   Returns: their number.
    template <class Predicate>
    std::size_t erase_if(Predicate is_erased) {
        std::size_t kept = 0;
        for (std::size_t i = 0; i < size_; ++i) {
            if (is_erased(entry(i))) continue;
            if (kept != i) entry(kept) = std::move(entry(i));
            ++kept;
        }
        const std::size_t erased = size_ - kept;
        while (size_ != kept) pop_back();
        blocks_.resize((size_ + block_size - 1) / block_size);
        return erased;
    }

private:
    static constexpr std::size_t block_size = 16;
    struct Block {
        std::optional<Entry> slots[block_size];
    };

    [[nodiscard]] Entry& entry(std::size_t place) const noexcept {
        return *blocks_[place / block_size]->slots[place % block_size];
    }
    /// Numbers rise, so an edit is no later than if none had been erased.
    [[nodiscard]] std::size_t place_of(std::uint64_t number) const noexcept {
        BELAY_INVARIANT(size_ != 0 && entry(0).first <= number, "EditList: no edit has the number");
        std::size_t last =
            static_cast<std::size_t>(std::min<std::uint64_t>(number - entry(0).first, size_ - 1));
        std::size_t first = 0;
        while (entry(last).first != number) {
            const std::size_t middle = first + (last - first) / 2;
            BELAY_INVARIANT(first != last, "EditList: no edit has the number");
            if (entry(middle).first < number) {
                first = middle + 1;
            } else {
                last = middle;
            }
        }
        return last;
    }

    std::vector<std::unique_ptr<Block>> blocks_{};
    std::size_t size_ = 0;
};

/// A loss, and how many of its elements the local copy had still when it was noted.
template <class Value>
struct NotedLoss {
    typename part::ReplicaReport<Value>::Lost lost{};
    std::uint64_t still_here = 0;

    static void each_field(auto& self, auto&& f) {
        f("lost", self.lost), f("still_here", self.still_here);
    }
    friend bool operator==(const NotedLoss&, const NotedLoss&) = default;
};

/// A record of a version: tag, stamp (28), 0, or 1 and the value, and the element; texts with their
/// length in 4 bytes. It is written before the local copy loses the version.
///
/// A record of a loss: another tag, the first and the last change (8 each), the number of elements
/// (8), and two stamps. Then the number of these elements that are still here (8). It is written
/// before the local copy is that of the other store.
///
/// A record that is a third tag alone follows if the report was read while the log had to keep
/// others. Numbers are little endian.
template <class Value>
class ReplacedRecord {
public:
    using Change = part::ElementChange<Value>;

    [[nodiscard]] static bool is_one(BytesView bytes) noexcept {
        return !bytes.empty() &&
               (bytes[0] == tag || bytes[0] == reported_tag || bytes[0] == lost_tag);
    }
    /// Returns: whether there are bytes for it.   Throws: what the codec throws; std::bad_alloc.
    template <class Codec>
    [[nodiscard]] static bool encode(const Change& mine, Codec& codec, Bytes& into,
                                     Bytes& scratch) {
        into.assign(1, tag);
        append_field(into, mine.stamp);
        append_field(into, mine.value.has_value());
        if (mine.value) {
            scratch.clear();
            if (!codec.encode(*mine.value, scratch) || !append_text(into, scratch)) return false;
        }
        return append_text(into, as_bytes(mine.id));
    }
    static void encode_lost(const NotedLoss<Value>& noted, Bytes& into) {
        into.assign(1, lost_tag);
        append_field(into, noted);
    }
    /// Returns: nothing if the bytes are not those of a loss.
    [[nodiscard]] static std::optional<NotedLoss<Value>> decode_lost(BytesView bytes) noexcept {
        SyncReader in{bytes};
        if (in.byte() != lost_tag) return std::nullopt;
        const auto noted = in.read<NotedLoss<Value>>();
        return in.whole() ? std::optional{noted} : std::nullopt;
    }
    static void encode_reported(Bytes& into) { into.assign(1, reported_tag); }
    [[nodiscard]] static bool is_reported(BytesView bytes) noexcept {
        return bytes.size() == 1 && bytes[0] == reported_tag;
    }
    /// Returns: nothing if the bytes are not those of a version.
    template <class Codec>
    [[nodiscard]] static std::optional<Change> decode(BytesView bytes, Codec& codec) {
        SyncReader in{bytes};
        if (in.byte() != tag) return std::nullopt;
        Change mine;
        in.field(mine.stamp);
        if (in.read<bool>()) {
            mine.value = decode_value(codec, in.text());
            if (!mine.value) mine.error = SyncErrc::unreadable;
        }
        mine.id = as_text(in.text());
        return in.whole() ? std::optional{std::move(mine)} : std::nullopt;
    }

private:
    static constexpr std::byte tag{0xEE};
    static constexpr std::byte reported_tag{0xEF};
    static constexpr std::byte lost_tag{0xF0};
};

/// The versions of a replica that others replaced, and the loss of its server's store, if they were
/// in no report that was read.
template <class Value>
class ReplacedVersions {
    using Record = ReplacedRecord<Value>;

public:
    using Change = typename Record::Change;
    using Lost = typename part::ReplicaReport<Value>::Lost;

    /// Reads a record.   Returns: whether the bytes are those of one.
    template <class Codec>
    [[nodiscard]] bool read(BytesView bytes, std::uint64_t number, Codec& codec) {
        if (Record::is_reported(bytes)) {
            unread_.clear();
            noted_.clear();
            noted_loss_.reset();
            is_loss_unread_ = false;
            return true;
        }
        if (const auto noted = Record::decode_lost(bytes)) {
            noted_loss_ = *noted;
            is_loss_unread_ = true;
            last_ = number;
            return true;
        }
        auto mine = Record::decode(bytes, codec);
        if (!mine) return false;
        unread_.push_back(std::move(*mine));
        noted_.emplace(as_text(bytes));
        last_ = number;
        return true;
    }
    /// Returns those of a process that ended before.
    [[nodiscard]] std::vector<Change>& unread() noexcept { return unread_; }

    /// Moves the loss that a process before did not report into a report, if there is one.
    void take_unread_loss(std::optional<Lost>& into) {
        if (std::exchange(is_loss_unread_, false) && !into) into = noted_loss_->lost;
    }
    /// Returns the loss that the log has until a sync is complete, and a report with it was read.
    [[nodiscard]] const std::optional<NotedLoss<Value>>& noted_loss() const noexcept {
        return noted_loss_;
    }
    /// Appends the loss of the server's store. It is durable after the next commit.
    template <class Log>
    [[nodiscard]] std::error_code note_lost(Log& log, const NotedLoss<Value>& noted) {
        if (noted == noted_loss_) return {};
        Record::encode_lost(noted, record_);
        const std::error_code error = append(log);
        if (!error) noted_loss_ = noted;
        return error;
    }
    /// Appends a version that is being replaced, unless the log has it since the last release. It
    /// is durable after the next commit.
    template <class Log, class Codec>
    [[nodiscard]] std::error_code note(Log& log, const Change& mine, Codec& codec) {
        if (mine.error) return {};
        // A value that the codec rejects, or that is too long, was no edit of this replica.
        if (!Record::encode(mine, codec, record_, scratch_) || noted_.count(as_text(record_)) != 0)
            return {};
        const std::error_code error = append(log);
        if (!error) noted_.emplace(as_text(record_));
        return error;
    }
    /// All are reported. The log is about to release the records up to `until`.
    template <class Log>
    [[nodiscard]] std::error_code forget(Log& log, std::uint64_t until) {
        if (last_ > until) {
            Record::encode_reported(record_);
            const Result<std::uint64_t> number = log.append(record_);
            if (!number) return number.error();
            if (const std::error_code error = log.commit()) return error;
        }
        last_ = 0;
        unread_.clear();
        noted_.clear();
        noted_loss_.reset();
        is_loss_unread_ = false;
        return {};
    }

private:
    template <class Log>
    [[nodiscard]] std::error_code append(Log& log) {
        const Result<std::uint64_t> number = log.append(record_);
        if (!number) {
            return number.error() == QueueErrc::too_large ? std::error_code{} : number.error();
        }
        last_ = *number;
        return {};
    }

    std::vector<Change> unread_{};
    std::set<std::string, std::less<>> noted_{};    // the records of the versions in the log
    std::optional<NotedLoss<Value>> noted_loss_{};  // the last one in the log
    bool is_loss_unread_ = false;                   // it is of a process that ended before
    std::uint64_t last_ = 0;  // the number of the last record that is not reported; 0: none
    Bytes record_{};
    Bytes scratch_{};
};

/// A log with a note, in which a replica keeps the note of its clock.
template <class Log>
concept HasNote = requires(Log& log, const Log& same, BytesView note) {
    { log.keep(note) } -> std::same_as<std::error_code>;
    { same.kept() } -> std::same_as<BytesView>;
};

/// The edits in their order, and the last one of each element.
template <CodecLike Codec, class Log>
class ReplicaEdits {
public:
    using Record = EditRecord<Codec>;
    using Op = typename Record::Op;
    using Replaced = ReplacedVersions<DecodedBy<Codec>>;
    using Edit = UndecidedEdit<Op>;
    using Edits = EditList<Edit>;

    explicit ReplicaEdits(Codec codec) : codec_{std::move(codec)} {}

    /// Reads the log, and the versions in it that are not reported.
    ///
    /// An edit whose values the codec rejects is unreadable, and a later program may read it.
    /// Errors: corrupt: a record is not one of a Replica; those of the log.
    [[nodiscard]] std::error_code load(Log& log, Replaced& replaced) {
        std::map<Id, std::uint64_t> known;
        for (std::uint64_t number = log.base(); number <= log.last(); ++number) {
            const Result<BytesView> bytes = log.read(number);
            if (!bytes) return bytes.error();
            if (ReplacedRecord<DecodedBy<Codec>>::is_one(*bytes)) {
                if (!replaced.read(*bytes, number, codec_)) return QueueErrc::corrupt;
                continue;
            }
            std::optional<Record> record = Record::decode(*bytes, codec_);
            if (!record) return make_error_code(QueueErrc::corrupt);
            const auto at = known.find(record->operation.id);
            if (record->state == EditState::dropped) {
                if (at == known.end()) continue;
                edits_.at(at->second).state = EditState::dropped;
                known.erase(at);
                continue;
            }
            // A kept edit is appended again before its earlier record is released.
            const bool is_new = at == known.end();
            Edit& edit = is_new ? add(std::move(record->operation)) : edits_.at(at->second);
            bool readable = record->readable;
            if (!is_new) {
                if (!is_same_edit(edit, *record)) return make_error_code(QueueErrc::corrupt);
                // All records of an edit have the same values.
                if (!readable && !edit.is_unreadable()) {
                    record->operation.action = std::move(edit.operation.action);
                    readable = true;
                }
                edit.operation = std::move(record->operation);
            }
            if (is_new) known.emplace(edit.operation.id, last_);
            edit.number = number;
            edit.state = edit.recorded = record->state;
            if (!readable) edit.state = EditState::unreadable;
            if (readable && edit.is_unreadable()) edit.state = EditState::waiting;
            edit.why = record->error;
        }
        forget_decided();
        for (const auto& [element, last] : last_of_) order_by_stamps(last);
        return {};
    }
    /// Appends an edit to the log; it is durable after the next commit. `last` is the last_of() its
    /// element.
    [[nodiscard]] std::error_code append(Log& log, Op&& operation, std::uint64_t* last) {
        Edit& edit = add(std::move(operation), last);
        ScopeExit undo{[this] {  // also if the codec throws
            unlink(last_, edits_.back());
            edits_.pop_back();
        }};
        const std::error_code error = write(log, edit);
        if (!error) undo.release();
        return error;
    }
    /// Returns the place of the last edit of an element, until one is erased; null: it has none.
    [[nodiscard]] std::uint64_t* last_of(std::string_view element) noexcept {
        const auto last = last_of_.find(element);
        return last != last_of_.end() ? &last->second : nullptr;
    }
    /// Returns the edit whose effect an element shows, from its last_of(); null: that of the store.
    [[nodiscard]] const Edit* shown(const std::uint64_t* last) const {
        std::uint64_t at = last != nullptr ? *last : 0;
        while (at != 0) {
            const Edit& edit = edits_.at(at);
            const bool shows = edit.state != EditState::rejected && !edit.is_unreadable();
            if (shows && !edit.hidden) return &edit;
            at = edit.before;
        }
        return nullptr;
    }
    /// Calls `visit(element, edit)` for each element that shows one of the first `most` edits.
    /// `visit` may append edits. An element with such an edit is not visited after it.
    template <class Visit>
    void for_each_shown(std::size_t most, Visit visit) {
        auto at = std::as_const(edits_).begin();
        for (std::size_t i = 0; i != most; ++i, ++at) {
            const std::string_view element = at->second.operation.element();
            if (shown(last_of(element)) == &at->second) visit(element, at->second);
        }
    }

    enum class Decided : std::uint8_t {
        all,
        unconfirmed  ///< applied, and the local store does not have the results
    };
    /// Lets decided edits wait again. A server that has them knows their ids, and one that lost
    /// them applies them.
    void send_again(Decided which) noexcept {
        for (auto& [seq, edit] : edits_) {
            if (edit.state != EditState::dropped) continue;
            if (which == Decided::unconfirmed && edit.hidden) continue;
            edit.state = EditState::waiting;
            edit.hidden = false;
        }
    }
    /// The local store has the results of all decided edits.
    void hide_decided() noexcept {
        for (auto& [seq, edit] : edits_) edit.hidden = edit.state == EditState::dropped;
    }

    /// Writes the state of an edit, which is durable after the next commit.
    [[nodiscard]] std::error_code write(Log& log, Edit& edit) {
        const typename Record::Status status{edit.state, edit.why};
        if (edit.is_unreadable()) {
            const Result<BytesView> former = log.read(edit.number);
            if (!former) return former.error();
            if (!Record::encode_again(*former, edit.operation, status, record_)) {
                return QueueErrc::corrupt;
            }
        } else if (!Record::encode(edit.operation, status, codec_, record_, scratch_)) {
            return SyncErrc::bad_operation;
        }
        const Result<std::uint64_t> number = log.append(record_);
        if (!number) return number.error();
        edit.number = *number;
        edit.recorded = edit.state;
        return {};
    }
    /// Forgets the decided edits and the reported versions, and releases their records. Kept edits
    /// in front of others are appended again first, so that they do not hold the front of the log.
    [[nodiscard]] std::error_code release(Log& log, Replaced& replaced) {
        forget_decided();
        keep_held_back();
        std::uint64_t until = log.last();
        for (const auto& [seq, edit] : edits_) {
            if (edit.state == EditState::waiting) until = std::min(until, edit.number - 1);
        }
        if (const std::error_code error = replaced.forget(log, until)) return error;
        std::uint64_t listed = 0;
        bool is_new = false;
        for (const auto& [seq, edit] : edits_) {
            if (edit.state == EditState::waiting) continue;
            listed += edit.number <= until ? 1 : 0;
            is_new = is_new || edit.recorded != edit.state;
        }
        const std::uint64_t released = until + 1 - log.base();
        if (!is_new && released == listed) return {};
        if (is_new || listed != 0) {
            // All of them, so that those of one element stay in their order.
            for (auto& [seq, edit] : edits_) {
                if (edit.state == EditState::waiting) continue;
                if (const std::error_code error = write(log, edit)) return error;
            }
            if (const std::error_code error = log.commit()) return error;
        }
        if (const std::error_code error = log.ack(until)) return error;
        return log.commit();
    }
    /// Forgets an edit.   Complexity: linear in the edits of its element, and in the later ones.
    void erase(const typename Edits::iterator& edit) {
        unlink(edit->first, edit->second);
        edits_.erase(edit);
    }

    /// Counts the kept edits, except those that cannot be read; call it after a change of states.
    void count_kept() noexcept {
        kept_ = 0;
        for (const auto& [seq, edit] : edits_) {
            kept_ += edit.is_kept() && !edit.is_unreadable() ? 1U : 0U;
        }
    }
    /// Returns the number of kept edits at the last count.
    [[nodiscard]] std::size_t kept() const noexcept { return kept_; }

    [[nodiscard]] Codec& codec() noexcept { return codec_; }
    [[nodiscard]] Edits& all() noexcept { return edits_; }
    [[nodiscard]] const Edits& all() const noexcept { return edits_; }

private:
    using LastOf = std::unordered_map<std::string, std::uint64_t, TextHash, std::equal_to<>>;
    [[nodiscard]] Edit& add(Op&& operation, std::uint64_t* last = nullptr) {
        const std::uint64_t seq = last_ + 1;
        Edit& edit = edits_.push_back(seq, std::move(operation));
        if (edit.operation.kind() != OperationKind::interaction) {
            ScopeExit undo{[this] { edits_.pop_back(); }};  // if there is no memory
            const std::string_view element = edit.operation.element();
            if (last == nullptr) last = last_of(element);
            if (last == nullptr) last = &last_of_.emplace(element, 0).first->second;
            undo.release();
            edit.before = std::exchange(*last, seq);
        }
        last_ = seq;
        return edit;
    }
    void unlink(std::uint64_t seq, const Edit& edit) {
        const auto last = last_of_.find(edit.operation.element());
        if (last == last_of_.end()) return;
        std::uint64_t* link = &last->second;
        while (*link != 0 && *link != seq) link = &edits_.at(*link).before;
        if (*link != 0) *link = edit.before;
        if (last->second == 0) last_of_.erase(last);
    }
    [[nodiscard]] static bool is_same_edit(const Edit& a, const Record& b) noexcept {
        const bool same_kind = a.operation.kind() == b.operation.kind();
        return (same_kind || a.is_unreadable() || !b.readable) &&
               a.operation.element() == b.operation.element();
    }
    /// Puts the edits of an element into the order in which they were made, which is that of their
    /// stamps. The record of a kept edit is appended again, and may be behind those of later ones.
    void order_by_stamps(std::uint64_t last) {
        std::vector<Edit*> places;  // from the last one back
        for (std::uint64_t at = last; at != 0; at = edits_.at(at).before) {
            // A rejected one is in no order with the others, whose authors did not see it.
            if (edits_.at(at).state != EditState::rejected) places.push_back(&edits_.at(at));
        }
        std::vector<Edit*> sorted = places;
        sort_stably(sorted, [](const Edit* a, const Edit* b) {
            return b->operation.stamp < a->operation.stamp;
        });
        if (sorted == places) return;
        std::vector<Edit> moved;
        moved.reserve(places.size());
        for (Edit* const edit : sorted) moved.push_back(std::move(*edit));
        for (std::size_t i = 0; i < places.size(); ++i) {
            const std::uint64_t before = places[i]->before;
            *places[i] = std::move(moved[i]);
            places[i]->before = before;
        }
    }
    /// An edit that was made during a sync must not come before a kept one of its element, whose
    /// record is appended again.
    void keep_held_back() {
        std::unordered_set<std::string_view> kept;
        for (auto& [seq, edit] : edits_) {
            if (edit.operation.kind() == OperationKind::interaction) continue;
            if (edit.state == EditState::kept || edit.is_unreadable()) {
                kept.insert(edit.operation.element());
            }
            if (edit.state != EditState::waiting) continue;
            if (kept.empty() || kept.count(edit.operation.element()) == 0) continue;
            edit.state = EditState::kept;
            edit.why = SyncErrc::held_back;
        }
    }
    /// In one pass, because erase() is linear for each. It allocates nothing, so that it cannot end
    /// between the list and the last edits of the elements.
    void forget_decided() {
        const auto decided = [](const auto& one) { return one.second.state == EditState::dropped; };
        if (edits_.erase_if(decided) == 0) return;
        for (auto& [element, last] : last_of_) last = 0;
        for (auto& [seq, edit] : edits_) {
            if (edit.operation.kind() == OperationKind::interaction) continue;
            edit.before = std::exchange(last_of_.find(edit.operation.element())->second, seq);
        }
        std::erase_if(last_of_, [](const auto& one) { return one.second == 0; });
    }

    Codec codec_;
    Edits edits_{};
    LastOf last_of_{};
    std::uint64_t last_ = 0;
    std::size_t kept_ = 0;
    Bytes record_{};
    Bytes scratch_{};
};

/// Calls `visit(edit)` for each edit of an element, from its last_of(), the last one first.
template <class Edits, class Visit>
void for_each_of_element(const Edits& edits, const std::uint64_t* last, Visit visit) {
    for (std::uint64_t at = last != nullptr ? *last : 0; at != 0;) {
        const auto& edit = edits.all().at(at);
        visit(edit);
        at = edit.before;
    }
}

/// Returns the stamp of the last edit that is not rejected, from its element's last_of(). That edit
/// may not be shown, and be sent again to a restored server. Stamp{} if there is none.
template <class Edits>
[[nodiscard]] Stamp last_stamp(const Edits& edits, const std::uint64_t* last) {
    std::uint64_t at = last != nullptr ? *last : 0;
    while (at != 0) {
        const auto& edit = edits.all().at(at);
        if (edit.state != EditState::rejected) return edit.operation.stamp;
        at = edit.before;
    }
    return {};
}

/// Finds the edits of an element whose stamps may be the next ones above other stamps, so that a
/// later edit may get them again. Such a stamp is no later in time than the version that its author
/// saw, another edit of the element, or `other`. That is the latest version of the element that is
/// lost, that is unreadable, or that is a removal later than the server's.
class LiftedStamps {
public:
    /// `last` is the last_of() of the element.   Complexity: linear in the edits of the element.
    template <class Edits>
    LiftedStamps(const Edits& edits, const std::uint64_t* last, const Stamp& other)
        : other_{other.wall} {
        for_each_of_element(edits, last, [&](const auto& edit) { ++edits_at_[time_of(edit)]; });
    }
    /// Pre: the edit is one of the element.
    template <class Edit>
    [[nodiscard]] bool has(const Edit& edit) const {
        const WallTime wall = edit.operation.stamp.wall;
        const auto& saw = edit.operation.saw;
        return (saw && wall <= saw->wall) || wall <= other_ || edits_at_.at(time_of(edit)) > 1;
    }

private:
    template <class Edit>
    [[nodiscard]] static WallTime::rep time_of(const Edit& edit) noexcept {
        return edit.operation.stamp.wall.time_since_epoch().count();
    }

    WallTime other_;
    std::unordered_map<WallTime::rep, std::size_t> edits_at_{};
};
/// Returns the latest such stamp of the rejected edits of an element, from its last_of().
/// Stamp{} if there is none.
template <class Edits>
[[nodiscard]] Stamp last_rejected(const Edits& edits, const std::uint64_t* last,
                                  const Stamp& other) {
    const auto is_rejected = [](const auto& edit) { return edit.state == EditState::rejected; };
    bool any = false;
    for_each_of_element(edits, last, [&](const auto& edit) { any = any || is_rejected(edit); });
    Stamp latest;
    if (!any) return latest;
    const LiftedStamps lifted{edits, last, other};
    for_each_of_element(edits, last, [&](const auto& edit) {
        if (is_rejected(edit) && lifted.has(edit)) {
            latest = std::max(latest, edit.operation.stamp);
        }
    });
    return latest;
}

/// Whether a server that rejects an operation may take those of other elements.
template <class Op>
[[nodiscard]] bool concerns_its_element(const FailedOperation<Op>& one) noexcept {
    if (one.wait || one.error == SyncErrc::from_the_future || one.error == SyncErrc::too_old ||
        one.error == SyncErrc::pending_full) {
        return true;
    }
    return one.kept && one.error != SyncErrc::store_closed &&
           one.error != SyncErrc::unknown_session && one.error != SyncErrc::held_back;
}
/// Whether each operation of the batch has one outcome, and nothing else has one.
template <class Op, class Edit>
[[nodiscard]] bool accounts_for(const SyncResult<Op>& result, const std::map<Id, Edit*>& batch) {
    std::unordered_set<const Edit*> seen;
    const auto is_new = [&](const Id& id) {
        const auto at = batch.find(id);
        return at != batch.end() && seen.insert(at->second).second;
    };
    for (const auto& one : result.failed_operations) {
        if (!is_new(one.operation.id)) return false;
    }
    for (const auto& one : result.conflicts) {
        if (!is_new(one.operation.id)) return false;
    }
    return result.failed_count == result.failed_operations.size() &&
           result.conflict_count == result.conflicts.size() &&
           result.synced_count + seen.size() == batch.size();
}

/// Stores the note of a clock, if one is due. If that fails, the next note is due at once.
template <class Log, class Clock>
[[nodiscard]] std::error_code keep_note(Log& log, Clock& clock) {
    if (!clock.note_is_due()) return {};
    const std::error_code error = log.keep(clock.note());
    if (error) clock.forget_note();
    return error;
}

/// Sends the edits that are due, in batches.
template <class Edits>
class ReplicaSender {
    using Edit = typename Edits::Edit;
    using Op = typename Edits::Op;

public:
    ReplicaSender(Edits& edits, std::size_t batch_operations) noexcept
        : edits_{edits}, batch_operations_{batch_operations} {}

    template <class Server, class Report>
    void send(Server& server, Report& report) {
        std::vector<Edit*> batch;
        std::unordered_set<std::string_view> blocked;  // by a kept edit
        std::unordered_set<std::string_view> failed;   // the store may take it later
        // A report that was not read lists them, and so does a server that gets the edits again.
        overwrote_.clear();
        for (const auto& one : report.overwrote) overwrote_.insert(one.operation.id);
        int batches_without_effect = 0;
        auto at = edits_.all().begin();
        // One element that always fails must not stop the others, but a server that takes nothing
        // is not sent everything.
        while (at != edits_.all().end() && batches_without_effect < 2) {
            batch.clear();
            for (; at != edits_.all().end() && batch.size() < batch_operations_; ++at) {
                Edit& edit = at->second;
                const std::string_view element = edit.operation.element();
                const bool of_element = edit.operation.kind() != OperationKind::interaction;
                if (edit.state == EditState::dropped || edit.state == EditState::rejected ||
                    (of_element && failed.count(element) != 0)) {
                    continue;
                }
                const bool is_held = of_element && blocked.count(element) != 0;
                if (!is_held && edit.is_due()) {
                    batch.push_back(&edit);
                    continue;
                }
                if (edit.state == EditState::waiting) {
                    keep(edit, SyncErrc::held_back, std::nullopt, report);
                }
                if (of_element) blocked.insert(element);
            }
            if (batch.empty()) break;
            if (!send_batch(server, batch, report)) break;
            bool has_effect = false;
            for (const Edit* const edit : batch) {
                has_effect = has_effect || edit->state != EditState::waiting;
                if (edit->operation.kind() == OperationKind::interaction) continue;
                const std::string_view element = edit->operation.element();
                if (edit->state == EditState::kept) blocked.insert(element);
                if (edit->state == EditState::waiting) failed.insert(element);
            }
            batches_without_effect = has_effect ? 0 : batches_without_effect + 1;
        }
        for (; at != edits_.all().end(); ++at) keep_if_blocked(at->second, blocked, report);
        edits_.count_kept();
    }

private:
    /// Later edits of an element must not come before a kept one after a restart.
    template <class Report>
    static void keep_if_blocked(Edit& edit, const std::unordered_set<std::string_view>& blocked,
                                Report& report) {
        if (edit.state != EditState::waiting ||
            edit.operation.kind() == OperationKind::interaction) {
            return;
        }
        if (blocked.count(edit.operation.element()) != 0) {
            keep(edit, SyncErrc::held_back, std::nullopt, report);
        }
    }
    template <class Report>
    static void keep(Edit& edit, const std::error_code& why, std::optional<Duration> wait,
                     Report& report) {
        const bool is_new = edit.state == EditState::waiting;
        edit.state = EditState::kept;
        edit.why = why;
        edit.wait = wait;
        if (is_new) report.kept.push_back(edit.failed());
    }

    /// Sends a batch, and notes the outcome of each of its edits.
    ///
    /// Returns: false if the outcome is unknown.
    template <class Server, class Report>
    [[nodiscard]] bool send_batch(Server& server, std::span<Edit* const> batch, Report& report) {
        std::vector<Op> operations;
        operations.reserve(batch.size());
        for (const Edit* const edit : batch) operations.push_back(edit->operation);
        auto result = server.send(std::span<const Op>{operations});
        std::map<Id, Edit*> of_id;
        for (Edit* const edit : batch) of_id.emplace(edit->operation.id, edit);
        if (!result || !accounts_for(*result, of_id)) {
            report.error = result ? make_error_code(SyncErrc::store_disagrees) : result.error();
            return false;
        }
        std::unordered_set<std::string_view> kept;
        for (const auto& one : result->failed_operations) {
            Edit& edit = *std::exchange(of_id[one.operation.id], nullptr);
            const std::string_view element = edit.operation.element();
            const bool is_held = one.error == SyncErrc::held_back && kept.count(element) != 0;
            if (!one.retryable) {
                edit.state = EditState::rejected;
                edit.why = one.error;
                report.kept.push_back(edit.failed());
            } else if (is_held || concerns_its_element(one)) {
                keep(edit, one.error, one.wait, report);
                if (edit.operation.kind() != OperationKind::interaction) kept.insert(element);
            } else {
                // The state of the server is the cause, so the same sync later may succeed.
                edit.state = EditState::waiting;
                if (!report.error || report.error == SyncErrc::held_back) report.error = one.error;
            }
        }
        for (auto& conflict : result->conflicts) {
            Edit& edit = *std::exchange(of_id[conflict.operation.id], nullptr);
            if (conflict.resolved) {
                edit.state = EditState::dropped;
                edit.hidden = true;
                report.conflicts.push_back(std::move(conflict));
            } else {
                // It is pending in the memory of the server, so it is still this replica's.
                keep(edit, {}, std::nullopt, report);
            }
        }
        for (const auto& [id, edit] : of_id) {
            if (edit == nullptr) continue;
            edit->state = EditState::dropped;
            ++report.synced;
        }
        for (auto& one : result->overwrote) {
            if (!overwrote_.insert(one.operation.id).second) continue;
            report.overwrote.push_back(std::move(one));
        }
        return true;
    }

    Edits& edits_;
    std::size_t batch_operations_;
    std::set<Id> overwrote_{};  // those of the report
};

}}}  // namespace belay::detail
