// SPDX-License-Identifier: MIT
/// \file belay/adapter/detail/table_storage.hpp
/// TableStorage: a durable queue over a database that keeps bodies by number.
#pragma once

#include <cstdint>       // std::uint64_t
#include <optional>      // std::optional
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/core/assert.hpp>
#include <belay/core/bytes.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/leasable_like.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The numbers of the operations in a table, without gaps.
struct NumberRange {
    std::uint64_t first = 1;
    std::uint64_t last = 0;

    [[nodiscard]] std::size_t size() const noexcept {
        return static_cast<std::size_t>(last - first + 1);
    }
    /// Whether `count` operations, more than none, fill the range: without one from between, the
    /// order could not be kept.
    [[nodiscard]] bool holds_all_of(std::uint64_t count) const noexcept {
        return first > 0 && last >= first && last - first == count - 1;
    }
};

/// What a queue in a database is beside the database.
///
/// Table:         `open(path, how..., range)` finds what there is; `insert(number, body)` and
///                `remove(number)` change it in one transaction each; `read(number, into)` checks
///                what it reads; `flush()` makes it durable; `failed()` is the failure after which
///                nobody knows what is in the file. Each answers with a std::error_code.
/// Models:        LeasableLike.
/// Thread safety: distinct objects safe.
template <class Table>
class TableStorage {
public:
    using value_type = Bytes;

    /// Adds an operation at the back.
    ///
    /// Errors: too_large; queue_full, if the options have a limit for it; no space; what `failed`
    ///         says. Nothing was taken then.
    [[nodiscard]] std::error_code try_push(BytesView body) noexcept {
        if (failed()) return failed();
        if (body.size() > record_bytes_max_) return make_error_code(QueueErrc::too_large);
        if (const std::error_code error = table_.insert(range_.last + 1, body)) return error;
        ++range_.last;
        return {};
    }

    /// Takes the oldest operation; nothing if there is none, or if it could not be read or removed:
    /// then `front` or `failed` says why, but not for lack of space, and it is still there. If the
    /// storage fails while it removes the operation, that may come again when it is opened.
    /// Throws: std::bad_alloc.
    [[nodiscard]] std::optional<Bytes> try_pop() {
        if (!front()) return std::nullopt;
        if (!ack()) return std::move(front_);
        // Whether it is gone nobody knows then: if it was not handed out, it could be lost.
        return failed() ? std::optional<Bytes>{front_} : std::nullopt;
    }

    /// The oldest operation, until `ack` or `try_pop`.
    ///
    /// Errors: what `failed` says: nobody could remove it; queue_empty; corrupt; those of the disk.
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
    /// Errors: what `failed` says, no space; the operation is still the first then.
    [[nodiscard]] std::error_code ack() noexcept {
        BELAY_PRECONDITION(size() != 0, "TableStorage::ack: there must be an operation");
        if (failed()) return failed();
        if (const std::error_code error = table_.remove(range_.first)) return error;
        ++range_.first;
        has_front_ = false;
        return {};
    }
    /// Nothing: an operation is first until it is removed.
    void nack() noexcept {}

    /// Makes everything durable that was pushed and removed; with `full` it is already.
    ///
    /// Errors: what `failed` says; no space: unless `failed` says so too, it may be called again.
    /// Blocks: on the disk, without `full`.
    [[nodiscard]] std::error_code commit() noexcept { return failed() ? failed() : table_.flush(); }

    /// The failure of the disk after which nothing more is taken or removed: whether the last call,
    /// or without a flush any, took effect is not known until the file is opened again. No error as
    /// long as there was none.
    [[nodiscard]] std::error_code failed() const noexcept { return table_.failed(); }
    [[nodiscard]] std::size_t size() const noexcept { return range_.size(); }
    /// The disk, and what the options say of bytes, are the limit, which count no operations.
    [[nodiscard]] std::size_t capacity() const noexcept { return no_limit; }

protected:
    TableStorage() noexcept = default;

    /// Why it did not open, or no error.   Throws: std::bad_alloc.
    template <class... How>
    [[nodiscard]] std::error_code start(const std::string& path, std::size_t record_bytes_max,
                                        How... how) {
        if (path.empty() || path.find('\0') != path.npos || record_bytes_max > 1'000'000'000) {
            return make_error_code(QueueErrc::bad_options);
        }
        record_bytes_max_ = record_bytes_max;
        return table_.open(path, how..., range_);
    }
    /// The database's own words for its last failure; "" if there was none.
    [[nodiscard]] const char* last_words() const noexcept { return table_.last_words(); }

private:
    Table table_;
    NumberRange range_;
    Bytes front_;
    std::size_t record_bytes_max_ = 0;
    bool has_front_ = false;
};

}}}  // namespace belay::detail
