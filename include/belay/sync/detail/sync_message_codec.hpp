// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/sync_message_codec.hpp
/// SyncMessageCodec: the questions of a device and the answers of its server, as bytes.
#pragma once

#include <concepts>      // std::same_as
#include <cstdint>       // std::uint32_t, std::uint64_t
#include <optional>      // std::optional
#include <span>          // std::span
#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <type_traits>   // std::remove_const_t
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
        Bytes message = begin_question(SyncMessageKind::asks_changes, session);
        append_field(message, since);
        return message;
    }
    /// Begins a batch; add() adds its operations.
    [[nodiscard]] static Bytes begin_batch(std::string_view session) {
        return begin_question(SyncMessageKind::sends_batch, session);
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
            in.field(made.since);
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
        append_field(message, error);
        return message;
    }
    /// The answer to a question, or to something else, in the form that its sender can read.
    [[nodiscard]] static Bytes reject(BytesView question, const std::error_code& error) {
        const auto kind = SyncHeader::kind_of(question);
        return answer_error(
            kind == SyncMessageKind::sends_batch ? SyncMessageKind::result : SyncMessageKind::page,
            kind ? SyncHeader::id_of(question) : 0, error);
    }
    /// A value that the codec rejects fails alone: the page has an error in its place.
    [[nodiscard]] Bytes answer_page(std::uint64_t id, const Page& page) {
        Bytes message = answer_error(SyncMessageKind::page, id, {});
        append_field(message, page);
        append_count(message, page.changes.size());
        for (const auto& change : page.changes) {
            append_session(message, change.id);
            append_field(message, change.stamp);
            const std::size_t end = message.size();
            std::error_code error = change.error;
            if (!error && append_value(message, change.value)) continue;
            if (!error) error = SyncErrc::store_corrupt;
            message.resize(end);
            message.push_back(in_error);
            append_field(message, error);
        }
        return message;
    }
    [[nodiscard]] std::optional<Page> read_page(BytesView message, std::error_code& error) {
        if (SyncHeader::kind_of(message) != SyncMessageKind::page) return std::nullopt;
        SyncReader in{message.subspan(SyncHeader::size)};
        in.field(error);
        Page page;
        if (error) return page;
        in.field(page);
        for (std::uint32_t left = in.read<std::uint32_t>(); left != 0 && in.valid(); --left) {
            auto& change = page.changes.emplace_back();
            change.id = as_text(in.text());
            in.field(change.stamp);
            if (!read_value(in, change.value, change.error)) return std::nullopt;
        }
        if (!in.whole()) return std::nullopt;
        return page;
    }

    /// The outcome of the operation with this index in the batch. The answer has no operations.
    template <class Outcome>
    struct Indexed {
        std::uint32_t index = 0;
        Outcome outcome{};
        static void each_field(auto& self, auto&& f) {
            f("index", self.index);
            Outcome::each_field(self.outcome, [&]<class Field>(const char* name, Field& field) {
                if constexpr (!std::same_as<std::remove_const_t<Field>, Op>) f(name, field);
            });
        }
    };
    /// The outcomes of the first operations of a batch.
    struct Outcomes {
        std::uint32_t decided = 0;  // the number of operations that these are about
        std::vector<Indexed<FailedOperation<Op>>> failed{};
        std::vector<Indexed<Conflict<Op>>> conflicts{};
        std::vector<Indexed<typename SyncResult<Op>::Overwrite>> overwrote{};

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
        append_field(message, all.decided);
        append_count(message, all.failed.size());
        for (const auto& one : all.failed) append_field(message, one);
        append_count(message, all.conflicts.size());
        for (const auto& one : all.conflicts) append_field(message, one);
        Bytes entries;
        std::size_t count = 0;
        for (const auto& one : all.overwrote) {
            const std::size_t begin = entries.size();
            append_field(entries, one);
            if (append_value(entries, one.outcome.replaced.value) &&
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
        in.field(error);
        Outcomes all;
        if (error) return all;
        in.field(all.decided);
        bool right = all.decided != 0 && all.decided <= count;
        const auto read_list = [&](auto& list) {
            for (std::uint32_t left = in.read<std::uint32_t>(); left != 0 && in.valid(); --left) {
                in.field(list.emplace_back());
                right = right && list.back().index < all.decided;
            }
        };
        read_list(all.failed);
        read_list(all.conflicts);
        for (std::uint32_t left = in.read<std::uint32_t>(); left != 0 && in.valid(); --left) {
            auto& one = all.overwrote.emplace_back();
            in.field(one);
            std::error_code unreadable;
            right = right && read_value(in, one.outcome.replaced.value, unreadable) &&
                    one.index < all.decided;
            // As on the side of the server: its codec may be newer than this one.
            if (unreadable) all.overwrote.pop_back();
        }
        if (!right || !in.whole()) return std::nullopt;
        return all;
    }

private:
    [[nodiscard]] static Bytes begin_question(SyncMessageKind kind, std::string_view session) {
        Bytes message;
        SyncHeader::start(message, kind);
        append_session(message, session);
        return message;
    }
    static void append_count(Bytes& into, std::size_t count) {
        append_field(into, static_cast<std::uint32_t>(count));
    }
    static void append_session(Bytes& into, std::string_view text) {
        // A name above 4 GiB is none.
        if (!append_text(into, as_bytes(text))) append_count(into, 0);
    }
    [[nodiscard]] bool append_value(Bytes& into, const std::optional<Value>& value) {
        append_field(into, value.has_value());
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
            in.field(error);
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
