// SPDX-License-Identifier: MIT
/// \file belay/work/detail/work_keys.hpp
/// WorkKeys: the idempotency keys of a WorkQueue, and for which of its log's entries they need it.
#pragma once

#include <cstdint>       // std::uint32_t, std::uint64_t
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code

#include <belay/core/order.hpp>
#include <belay/core/result.hpp>
#include <belay/work/detail/work_entry.hpp>
#include <belay/work/work_options.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The last keys. The log has each in its item's entry, or in the last copy of all of them: a
/// window, whose parts follow each other.
///
/// Thread safety: none of its own.   Allocates: only when it is made.
class WorkKeys {
public:
    /// Throws: std::bad_alloc.
    WorkKeys(const WorkOptions& options, const Id& log)
        : window_{options.keys},
          hash_{log},
          per_entry_{(options.record_bytes_max - 2 * work_header_bytes) / print_bytes} {
        prints_.reserve(smaller(per_entry_, window_.capacity()) * print_bytes);
    }

    /// Makes the print of what comes with a key.   Errors: duplicate, key_conflict.
    [[nodiscard]] std::error_code judge(std::string_view key, BytesView body,
                                        KeyFingerprint& print) const noexcept {
        print = print_of(key, hash_);
        window_.prefetch(print);
        print.content = crc32c(body);
        const KeyWindow::Answer known = window_.find(print);
        if (known == KeyWindow::Answer::unknown) return {};
        return make_error_code(known == KeyWindow::Answer::same ? QueueErrc::duplicate
                                                                : QueueErrc::key_conflict);
    }
    /// Remembers a print, which came with an entry.   Pre: it is not known.
    void add(const KeyFingerprint& print, std::uint64_t number) noexcept {
        window_.add(print);
        keep(number);
    }
    [[nodiscard]] KeyWindow& window() noexcept { return window_; }

    /// The first entry that is kept for them; the highest number if none is.
    [[nodiscard]] std::uint64_t floor() const noexcept { return floor_; }
    /// From here on the entry with this number is kept for its key.
    void keep(std::uint64_t number) noexcept {
        floor_ = smaller(floor_, number);
        next_part_ = 0;  // what was copied of the window lacks it
    }

    /// All of them are in the entries from `first` to `last`, too.
    void keep_copy(std::uint64_t first, std::uint64_t last) noexcept {
        first_ = first;
        last_ = last;
    }
    /// What is durable of the log: if a copy is, the entries before it are not kept any more.
    void settle(std::uint64_t durable) noexcept {
        if (last_ == 0 || durable < last_) return;
        floor_ = first_;
        last_ = 0;
    }
    /// Whether there is a copy that is not known to be durable.
    [[nodiscard]] bool copy_waits() const noexcept { return last_ != 0; }
    [[nodiscard]] std::size_t copy_bytes() const noexcept { return window_.size() * print_bytes; }
    /// Appends all of them, by `append(const WorkEntry&)`, which answers as the log does; goes on
    /// with the part that had no space the last time.
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
            // Parts without the last one mean nothing to whoever reads them.
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
    std::size_t per_entry_;  // how many prints an entry takes
    Bytes prints_;           // of a part of a copy
    std::uint64_t floor_ = ~std::uint64_t{0};
    std::uint64_t first_ = 0;    // of a copy that is not known to be durable
    std::uint64_t last_ = 0;     // 0: there is none
    std::size_t next_part_ = 0;  // of a copy that was begun
    std::uint64_t begun_ = 0;    // with this entry
};

}}}  // namespace belay::detail
