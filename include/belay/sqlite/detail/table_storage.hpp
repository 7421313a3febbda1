// SPDX-License-Identifier: MIT
/// \file belay/sqlite/detail/table_storage.hpp
/// TableStorage: a durable queue over a database that stores bodies by number.
#pragma once

#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/queue_errc.hpp>
#include <belay/queue/storage_like.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The numbers of the operations in a table, without gaps.
struct NumberRange {
    std::uint64_t first = 1;
    std::uint64_t last = 0;

    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(last - first + 1);
    }
    /// Whether `count` operations, at least one, fill the range. If one in between were missing,
    /// the order could not be kept.
    [[nodiscard]] bool holds_all_of(std::uint64_t count) const noexcept {
        return first > 0 && last >= first && last - first == count - 1;
    }
};

/// The part of a queue in a database that does not depend on the database.
///
/// Table:         `open(path, how..., range)` finds the stored operations. `insert(number, body)`
///                and `remove(number)` change it in one transaction each. `read(number, into)`
///                checks what it reads. `flush()` makes the table durable. `failed()` returns the
///                failure after which the content of the file is unknown. Each returns a
///                std::error_code.
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe.
template <class Table>
class TableStorage {
public:
    using value_type = Bytes;

    /// Adds an operation at the back.
    ///
    /// Errors: too_large; queue_full, if the options have a limit for it; no space; displaced: see
    /// `commit`; the error of `failed`. The queue has not accepted the operation then.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept {
        if (failed()) return failed();
        if (body.size() > record_bytes_max_) return make_error_code(QueueErrc::too_large);
        if (const std::error_code error = table_.insert(range_.last + 1, body)) return error;
        ++range_.last;
        return {};
    }

    /// Takes the oldest operation. Returns nothing if there is none, or if it could not be read or
    /// removed. Then `front` or `failed` returns the reason, except for lack of space and for
    /// displaced, and the operation is still there. If the storage fails while it removes the
    /// operation, that operation may be returned again after the next opening.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        if (!front()) return std::nullopt;
        if (!ack()) return std::move(front_);
        // It is unknown whether the operation is removed. If it were not returned, it could be
        // lost.
        return failed() ? std::optional<Bytes>{front_} : std::nullopt;
    }

    /// Returns the oldest operation, until `ack` or `try_pop`.
    ///
    /// Errors: the error of `failed`, because the operation could not be removed; queue_empty;
    /// corrupt; those of the disk.
    /// Throws: std::bad_alloc.
    [[nodiscard]] Result<BytesView> front() {
        if (failed()) return failed();
        if (size() == 0) return make_error_code(QueueErrc::queue_empty);
        if (!has_front_) {
            if (const std::error_code error = table_.read(range_.first, front_)) return error;
            has_front_ = true;
        }
        return BytesView{front_};
    }
    /// Removes the oldest operation, also one that cannot be read.   Pre: there is one.
    ///
    /// Errors: the error of `failed`, no space, or displaced. The operation is then still the
    /// first.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "TableStorage::ack: there must be an operation");
        if (failed()) return failed();
        if (const std::error_code error = table_.remove(range_.first)) return error;
        ++range_.first;
        has_front_ = false;
        return {};
    }
    /// Does nothing: an operation is the first until it is removed.
    void nack() noexcept {}

    /// Makes all pushes and removals durable. With `full` they already are.
    ///
    /// Errors: the error of `failed`; no space, after which you may call it again unless `failed`
    /// also returns an error; displaced: the file is not at its path any more. Nothing is written
    /// then. The queue continues when that file is at its path again.
    /// Blocks: on the disk, without `full`.
    [[nodiscard]] std::error_code commit() noexcept { return failed() ? failed() : table_.flush(); }

    /// Returns the failure of the disk after which the queue accepts and removes nothing more.
    /// Until the file is opened again, it is unknown whether the last call took effect; without a
    /// flush, this holds for any call since the last flush. Returns no error if there was no
    /// failure.
    [[nodiscard]] std::error_code failed() const noexcept { return table_.failed(); }
    [[nodiscard]] std::size_t size() const noexcept { return range_.size(); }
    /// Returns no_limit: the disk, and a limit of bytes in the options, are the limits, and not a
    /// count.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

protected:
    TableStorage() noexcept = default;

    /// Opens the table.   Returns: why it did not open, or no error.   Throws: std::bad_alloc.
    template <class... How>
    [[nodiscard]] std::error_code start(const std::string& path, std::size_t record_bytes_max,
                                        How... how) {
        record_bytes_max_ = record_bytes_max;
        return table_.open(path, how..., range_);
    }
    /// Returns the database's text for its last failure; "" if there was none.
    [[nodiscard]] const char* last_words() const noexcept { return table_.last_words(); }

private:
    Table table_;
    NumberRange range_;
    Bytes front_;
    std::size_t record_bytes_max_ = 0;
    bool has_front_ = false;
};

}}}  // namespace belay::detail
