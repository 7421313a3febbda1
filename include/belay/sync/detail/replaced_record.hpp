// SPDX-License-Identifier: MIT
/// \file belay/sync/detail/replaced_record.hpp
/// ReplacedRecord, ReplacedVersions: what a Replica has to report, and does not have any more.
#pragma once

#include <cstddef>       // std::size_t
#include <cstdint>       // std::uint64_t
#include <functional>    // std::less
#include <optional>      // std::optional
#include <set>           // std::set
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/codec_like.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/sync/changes.hpp>
#include <belay/sync/detail/sync_bytes.hpp>
#include <belay/sync/sync_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// A record of a version: tag, stamp (28), 0, or 1 and the value, and the element; texts with their
/// length in 4 bytes. It is written before the local copy loses the version.
///
/// A record of a loss: another tag, the first and the last change (8 each), the number of elements
/// (8), and two stamps. It is written before the local copy is that of the other store.
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
        append_stamp(into, mine.stamp);
        into.push_back(static_cast<std::byte>(mine.value ? 1 : 0));
        if (mine.value) {
            scratch.clear();
            if (!codec.encode(*mine.value, scratch) || !append_text(into, scratch)) return false;
        }
        return append_text(into, as_bytes(mine.id));
    }
    template <class Lost>
    static void encode_lost(const Lost& lost, Bytes& into) {
        into.assign(1, lost_tag);
        append_number(into, lost.first_change);
        append_number(into, lost.last_change);
        append_number(into, std::uint64_t{lost.elements});
        append_stamp(into, lost.earliest);
        append_stamp(into, lost.latest);
    }
    [[nodiscard]] static bool is_lost(BytesView bytes) noexcept {
        return bytes.size() == lost_bytes && bytes[0] == lost_tag;
    }
    /// Pre: is_lost(bytes).
    template <class Lost>
    static void decode_lost(BytesView bytes, Lost& lost) noexcept {
        SyncReader in{bytes.subspan(1)};
        lost.first_change = in.long_number();
        lost.last_change = in.long_number();
        lost.elements = static_cast<std::size_t>(in.long_number());
        lost.earliest = in.stamp();
        lost.latest = in.stamp();
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
        mine.stamp = in.stamp();
        if (in.byte() != std::byte{0}) {
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
    static constexpr std::size_t lost_bytes = 1 + 3 * 8 + 2 * 28;
};

/// The versions of a replica that others replaced, and the loss of its server's store, if they were
/// in no report that was read.
template <class Value>
class ReplacedVersions {
    using Record = ReplacedRecord<Value>;

public:
    using Change = typename Record::Change;

    /// Reads a record.   Returns: whether the bytes are those of one.
    template <class Codec>
    [[nodiscard]] bool read(BytesView bytes, std::uint64_t number, Codec& codec) {
        if (Record::is_reported(bytes)) {
            unread_.clear();
            noted_.clear();
            unread_loss_.clear();
            noted_loss_.clear();
            return true;
        }
        if (Record::is_lost(bytes)) {
            unread_loss_.assign(bytes.begin(), bytes.end());
            noted_loss_ = unread_loss_;
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
    template <class Lost>
    void take_unread_loss(std::optional<Lost>& into) {
        if (!unread_loss_.empty() && !into) Record::decode_lost(unread_loss_, into.emplace());
        unread_loss_.clear();
    }

    /// Returns the loss that the log has until a sync is complete, and a report with it was read.
    template <class Lost>
    [[nodiscard]] std::optional<Lost> noted_loss() const noexcept {
        std::optional<Lost> loss;
        if (!noted_loss_.empty()) Record::decode_lost(noted_loss_, loss.emplace());
        return loss;
    }

    /// Appends the loss of the server's store. It is durable after the next commit.
    template <class Log, class Lost>
    [[nodiscard]] std::error_code note_lost(Log& log, const Lost& lost) {
        Record::encode_lost(lost, record_);
        if (record_ == noted_loss_) return {};
        const std::error_code error = append(log);
        if (!error) noted_loss_ = record_;
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
        noted_loss_.clear();
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
    std::set<std::string, std::less<>> noted_{};  // the records of the versions in the log
    Bytes unread_loss_{};                         // its record; empty: there is none
    Bytes noted_loss_{};                          // that of the last one in the log
    std::uint64_t last_ = 0;  // the number of the last record that is not reported; 0: none
    Bytes record_{};
    Bytes scratch_{};
};

}}}  // namespace belay::detail
