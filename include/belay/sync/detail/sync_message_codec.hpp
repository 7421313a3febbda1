// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/sync_message_codec.hpp
/// SyncMessageCodec: the questions of a device and the answers of its server, as bytes.
#pragma once

#include <cstdint>       // std::uint32_t, std::uint64_t
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/sync/changes.hpp>
#include <belay/sync/detail/edit_record.hpp>
#include <belay/sync/sync_messages.hpp>
#include <belay/sync/sync_result.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Writes and reads the messages; docs/reference/formats/replica-messages.md has their form.
template <CodecLike Codec>
class SyncMessageCodec {
public:
    using Record = EditRecord<Codec>;
    using Value = typename Record::Value;
    using Op = typename Record::Op;
    using Page = part::ChangesPage<Value>;

    explicit SyncMessageCodec(Codec codec) : codec_{std::move(codec)} {}

    // ---- questions -----------------------------------------------------------------------------

    [[nodiscard]] static Bytes ask_changes(std::string_view session,
                                           const part::StoreCursor& since) {
        Bytes message;
        SyncHeader::start(message, SyncMessageKind::asks_changes);
        append_session(message, session);
        append_cursor(message, since);
        return message;
    }
    /// Begins a batch; add() adds its operations.
    [[nodiscard]] static Bytes begin_batch(std::string_view session) {
        Bytes message;
        SyncHeader::start(message, SyncMessageKind::sends_batch);
        append_session(message, session);
        return message;
    }
    /// Adds an operation, unless the batch would then be longer than `bytes_max`.
    ///
    /// Errors: bad_operation: the codec has no bytes for the value; too_large. The batch is then as
    ///         it was.
    [[nodiscard]] std::error_code add(Bytes& batch, const Op& op, std::size_t bytes_max) {
        if (!Record::encode(op, {}, codec_, record_, scratch_)) {
            return SyncErrc::bad_operation;
        }
        if (batch.size() + record_.size() + 4 > bytes_max) {
            return make_error_code(QueueErrc::too_large);
        }
        static_cast<void>(append_text(batch, record_));
        return {};
    }

    /// A question. An operation that this side cannot decode is nothing in its place.
    struct Question {
        SyncMessageKind kind{};
        std::uint64_t id = 0;
        std::string session{};
        part::StoreCursor since{};
        std::vector<std::optional<Op>> batch{};
    };
    [[nodiscard]] std::optional<Question> read_question(BytesView message) {
        const auto kind = SyncHeader::kind_of(message);
        const bool asks =
            kind == SyncMessageKind::asks_changes || kind == SyncMessageKind::sends_batch;
        if (!asks) return std::nullopt;
        Question made{*kind, SyncHeader::id_of(message)};
        SyncReader in{message.subspan(SyncHeader::size)};
        made.session = as_text(in.text());
        if (*kind == SyncMessageKind::asks_changes) {
            made.since = read_cursor(in);
        } else {
            while (in.valid() && !in.whole()) {
                const BytesView text = in.text();
                // In memory, an operation takes a multiple of the shortest record.
                if (text.size() < Record::bytes_min) return std::nullopt;
                std::optional<Record> record = Record::decode(text, codec_);
                if (record && record->readable) {
                    made.batch.emplace_back(std::move(record->operation));
                } else {
                    made.batch.emplace_back();
                }
            }
        }
        if (!in.whole()) return std::nullopt;
        return made;
    }

    // ---- answers -------------------------------------------------------------------------------

    [[nodiscard]] static Bytes answer_error(SyncMessageKind kind, std::uint64_t id,
                                            const std::error_code& error) {
        Bytes message;
        SyncHeader::start(message, kind, id);
        append_error(message, error);
        return message;
    }
    /// A value that the codec rejects fails alone: the page has an error in its place.
    [[nodiscard]] Bytes answer_page(std::uint64_t id, const Page& page) {
        Bytes message = answer_error(SyncMessageKind::page, id, {});
        append_flag(message, page.begins_copy);
        append_flag(message, page.more);
        append_flag(message, page.other_history);
        append_cursor(message, page.next);
        append_count(message, page.changes.size());
        for (const auto& change : page.changes) {
            append_session(message, change.id);
            append_stamp(message, change.stamp);
            const std::size_t end = message.size();
            std::error_code error = change.error;
            if (!error && append_value(message, change.value)) continue;
            if (!error) error = SyncErrc::store_corrupt;
            message.resize(end);
            message.push_back(in_error);
            append_error(message, error);
        }
        return message;
    }
    [[nodiscard]] std::optional<Page> read_page(BytesView message, std::error_code& error) {
        if (SyncHeader::kind_of(message) != SyncMessageKind::page) return std::nullopt;
        SyncReader in{message.subspan(SyncHeader::size)};
        error = in.error();
        Page page;
        if (error) return page;
        page.begins_copy = in.byte() != std::byte{0};
        page.more = in.byte() != std::byte{0};
        page.other_history = in.byte() != std::byte{0};
        page.next = read_cursor(in);
        for (std::uint32_t left = in.number(); left != 0 && in.valid(); --left) {
            auto& change = page.changes.emplace_back();
            change.id = as_text(in.text());
            change.stamp = in.stamp();
            if (!read_value(in, change.value, change.error)) return std::nullopt;
        }
        if (!in.whole()) return std::nullopt;
        return page;
    }

    /// The outcome of the first operations of a batch. Indices stand for operations.
    struct Outcomes {
        struct Failed {
            std::uint32_t index = 0;
            std::error_code error{};
            bool retryable = false;
            bool kept = false;
            std::optional<Duration> wait{};
        };
        struct Conflicting {
            std::uint32_t index = 0;
            ConflictReason reason{};
            bool resolved = false;
        };
        struct Overwriting {
            std::uint32_t index = 0;
            ConflictReason reason{};
            part::ReplacedVersion<Value> replaced{};
        };
        std::uint32_t decided = 0;  // the number of operations that these are about
        std::vector<Failed> failed{};
        std::vector<Conflicting> conflicts{};
        std::vector<Overwriting> overwrote{};

        /// Leaves out all but the first operations, which the device then sends again.
        void keep_front(std::uint32_t count) {
            decided = count;
            const auto is_later = [count](const auto& one) { return one.index >= count; };
            std::erase_if(failed, is_later);
            std::erase_if(conflicts, is_later);
            std::erase_if(overwrote, is_later);
        }
    };
    /// Leaves out the replaced versions whose values the codec rejects: a device could not read
    /// them, and would get the same answer for ever. The same holds for one with which the message
    /// would be longer than `bytes_max`. The processor's observer has them.
    [[nodiscard]] Bytes answer_outcomes(std::uint64_t id, const Outcomes& all,
                                        std::size_t bytes_max) {
        Bytes message = answer_error(SyncMessageKind::result, id, {});
        append_number(message, all.decided);
        append_count(message, all.failed.size());
        for (const auto& one : all.failed) {
            append_number(message, one.index);
            append_error(message, one.error);
            append_flag(message, one.retryable);
            append_flag(message, one.kept);
            append_flag(message, one.wait.has_value());
            if (one.wait) append_number(message, static_cast<std::uint64_t>(one.wait->count()));
        }
        append_count(message, all.conflicts.size());
        for (const auto& one : all.conflicts) {
            append_number(message, one.index);
            append_reason(message, one.reason);
            append_flag(message, one.resolved);
        }
        Bytes entries;
        std::size_t count = 0;
        for (const auto& one : all.overwrote) {
            const std::size_t begin = entries.size();
            append_number(entries, one.index);
            append_reason(entries, one.reason);
            append_stamp(entries, one.replaced.stamp);
            if (append_value(entries, one.replaced.value) &&
                message.size() + 4 + entries.size() <= bytes_max) {
                ++count;
            } else {
                entries.resize(begin);
            }
        }
        append_count(message, count);
        message.insert(message.end(), entries.begin(), entries.end());
        return message;
    }
    /// Returns: nothing if the bytes are no outcomes of `count` operations.
    [[nodiscard]] std::optional<Outcomes> read_outcomes(BytesView message, std::size_t count,
                                                        std::error_code& error) {
        if (SyncHeader::kind_of(message) != SyncMessageKind::result) return std::nullopt;
        SyncReader in{message.subspan(SyncHeader::size)};
        error = in.error();
        Outcomes all;
        if (error) return all;
        all.decided = in.number();
        bool right = all.decided != 0 && all.decided <= count;
        for (std::uint32_t left = in.number(); left != 0 && in.valid(); --left) {
            auto& one = all.failed.emplace_back();
            one.index = in.number();
            one.error = in.error();
            one.retryable = in.byte() != std::byte{0};
            one.kept = in.byte() != std::byte{0};
            if (in.byte() != std::byte{0}) {
                one.wait = Duration{static_cast<std::int64_t>(in.long_number())};
            }
            right = right && one.index < all.decided;
        }
        for (std::uint32_t left = in.number(); left != 0 && in.valid(); --left) {
            auto& one = all.conflicts.emplace_back();
            one.index = in.number();
            one.reason = read_reason(in);
            one.resolved = in.byte() != std::byte{0};
            right = right && one.index < all.decided;
        }
        for (std::uint32_t left = in.number(); left != 0 && in.valid(); --left) {
            auto& one = all.overwrote.emplace_back();
            one.index = in.number();
            one.reason = read_reason(in);
            one.replaced.stamp = in.stamp();
            std::error_code unreadable;
            right =
                right && read_value(in, one.replaced.value, unreadable) && one.index < all.decided;
            // As on the side of the server: its codec may be newer than this one.
            if (unreadable) all.overwrote.pop_back();
        }
        if (!right || !in.whole()) return std::nullopt;
        return all;
    }

private:
    static void append_flag(Bytes& into, bool flag) {
        into.push_back(flag ? std::byte{1} : std::byte{0});
    }
    static void append_count(Bytes& into, std::size_t count) {
        append_number(into, static_cast<std::uint32_t>(count));
    }
    static void append_session(Bytes& into, std::string_view text) {
        // A name above 4 GiB is none.
        if (!append_text(into, as_bytes(text))) append_count(into, 0);
    }
    static void append_cursor(Bytes& into, const part::StoreCursor& cursor) {
        append_id(into, cursor.store);
        append_number(into, cursor.changes);
        append_number(into, cursor.copied_at);
        append_number(into, cursor.seen);
        append_number(into, cursor.epoch);
    }
    [[nodiscard]] static part::StoreCursor read_cursor(SyncReader& in) {
        part::StoreCursor cursor;
        cursor.store = in.id();
        cursor.changes = in.long_number();
        cursor.copied_at = in.long_number();
        cursor.seen = in.long_number();
        cursor.epoch = in.number();
        return cursor;
    }
    static void append_reason(Bytes& into, const ConflictReason& reason) {
        into.push_back(static_cast<std::byte>(reason.index()));
        if (const auto* const stale = std::get_if<StaleTimestamp>(&reason)) {
            append_stamp(into, stale->local);
            append_stamp(into, stale->remote);
        }
    }
    [[nodiscard]] static ConflictReason read_reason(SyncReader& in) {
        switch (static_cast<unsigned>(in.byte())) {
            case 0:
                return ElementNotFound{};
            case 1:
                return ElementAlreadyExists{};
            case 2: {
                const Stamp local = in.stamp();
                return StaleTimestamp{local, in.stamp()};
            }
            default:
                return ConcurrentModification{};
        }
    }
    [[nodiscard]] bool append_value(Bytes& into, const std::optional<Value>& value) {
        append_flag(into, value.has_value());
        if (!value) return true;
        scratch_.clear();
        return codec_.encode(*value, scratch_) && append_text(into, scratch_);
    }
    /// Reads a value, or the error in its place. A value that the codec rejects is bad_operation.
    ///
    /// Returns: false if the bytes are neither.
    [[nodiscard]] bool read_value(SyncReader& in, std::optional<Value>& value,
                                  std::error_code& error) {
        const std::byte form = in.byte();
        if (form == in_error) {
            error = in.error();
            return in.valid() && error;
        }
        if (form == std::byte{0}) return in.valid();
        const BytesView bytes = in.text();
        if (!in.valid()) return false;
        value = decode_value(codec_, bytes);
        if (!value) error = SyncErrc::bad_operation;
        return true;
    }

    static constexpr std::byte in_error{2};  // in the place of the flag before a value

    Codec codec_;
    Bytes record_{};
    Bytes scratch_{};
};

}}}  // namespace belay::detail
