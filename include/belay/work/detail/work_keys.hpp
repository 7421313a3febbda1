// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_keys.hpp
/// WorkKeys: the idempotency keys of a WorkQueue, and which entries of its log they need.
#pragma once

#include <cstdint>       // std::uint32_t, std::uint64_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/work/detail/work_entry.hpp>
#include <belay/work/work_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The last keys. The log has each key in its item's entry, or in the last copy of all keys. That
/// copy is a window whose parts are consecutive.
///
/// Thread safety: none of its own.   Allocates: only in the constructor.
class WorkKeys {
public:
    /// Throws: std::bad_alloc.
    WorkKeys(const WorkOptions& options, const Id& log)
        : window_{options.keys},
          hash_{log},
          per_entry_{(options.record_bytes_max - 2 * work_header_bytes) / print_bytes} {
        prints_.reserve(smaller(per_entry_, window_.capacity()) * print_bytes);
    }

    /// Computes the fingerprint of a key and its content.   Errors: duplicate, key_conflict.
    [[nodiscard]] std::error_code check(std::string_view key, BytesView body,
                                        KeyFingerprint& print) const noexcept {
        print = print_of(key, hash_);
        window_.prefetch(print);
        print.content = part::crc32c(body);
        const KeyWindow::Answer known = window_.find(print);
        if (known == KeyWindow::Answer::unknown) return {};
        return make_error_code(known == KeyWindow::Answer::same ? QueueErrc::duplicate
                                                                : QueueErrc::key_conflict);
    }
    /// Adds a fingerprint that came with an entry.   Pre: it is unknown.
    void add(KeyFingerprint print, std::uint64_t number) noexcept {
        print.item = number;
        window_.add(print);
        keep(number);
    }
    [[nodiscard]] KeyFingerprint print(std::string_view key) const noexcept {
        return print_of(key, hash_);
    }
    /// Frees a key, if it is that of `print.item`, or of any item if that is 0.
    /// Returns: its item; 0 if it is unknown, or that of another item.
    [[nodiscard]] std::uint64_t free(const KeyFingerprint& print) noexcept {
        const KeyFingerprint* const known = window_.get(print);
        if (known == nullptr) return 0;
        const std::uint64_t item = known->item;
        if (print.item != 0 && print.item != item) return 0;
        window_.remove(known);
        next_part_ = 0;  // a copy that was begun may have this key
        return item;
    }
    [[nodiscard]] KeyWindow& window() noexcept { return window_; }

    /// Returns the first entry that the keys need; the highest number if they need none.
    [[nodiscard]] std::uint64_t floor() const noexcept { return floor_; }
    /// Keeps the entry with this number for its key.
    void keep(std::uint64_t number) noexcept {
        floor_ = smaller(floor_, number);
        next_part_ = 0;  // a copy that was begun lacks this key
    }

    /// Records that the entries from `first` to `last` contain a copy of all keys.
    void keep_copy(std::uint64_t first, std::uint64_t last) noexcept {
        first_ = first;
        last_ = last;
    }
    /// Records what is durable. If a copy is durable, the keys do not need the entries before it.
    void settle(std::uint64_t durable) noexcept {
        if (last_ == 0 || durable < last_) return;
        floor_ = first_;
        last_ = 0;
    }
    /// Returns whether there is a copy that is not known to be durable.
    [[nodiscard]] bool copy_waits() const noexcept { return last_ != 0; }
    [[nodiscard]] std::size_t copy_bytes() const noexcept { return window_.size() * print_bytes; }
    /// Appends a copy of all keys with `append(const WorkEntry&)`, which returns what the log
    /// returns. It continues with the part for which there was no space the last time.
    ///
    /// Errors: those of the log.
    template <class Append>
    [[nodiscard]] std::error_code copy(WallTime now, Append&& append) {
        const std::size_t parts = (window_.size() + per_entry_ - 1) / per_entry_;
        std::uint64_t last = 0;
        while (next_part_ < parts) {
            const std::size_t from = next_part_ * per_entry_;
            const std::size_t count = smaller(per_entry_, window_.size() - from);
            prints_.resize(count * print_bytes);
            for (std::size_t i = 0; i < count; ++i) {
                store_print(window_.at(from + i), prints_.data() + i * print_bytes);
            }
            const Result<std::uint64_t> number =
                append(WorkEntry{.kind = WorkKind::keys,
                                 .written = stamp_of(now),
                                 .part = static_cast<std::uint32_t>(next_part_),
                                 .parts = static_cast<std::uint32_t>(parts),
                                 .tail = prints_});
            // A reader ignores parts without the last one.
            if (!number) return number.error();
            if (next_part_++ == 0) begun_ = *number;
            last = *number;
        }
        next_part_ = 0;
        keep_copy(begun_, last);
        return {};
    }

private:
    KeyWindow window_;
    KeyHash hash_;
    std::size_t per_entry_;  // how many fingerprints an entry holds
    Bytes prints_;           // of one part of a copy
    std::uint64_t floor_ = ~std::uint64_t{0};
    std::uint64_t first_ = 0;    // of a copy that is not known to be durable
    std::uint64_t last_ = 0;     // 0: there is none
    std::size_t next_part_ = 0;  // of a copy that was begun
    std::uint64_t begun_ = 0;    // the entry with its first part
};

}}}  // namespace belay::detail
