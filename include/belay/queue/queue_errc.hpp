// SPDX-License-Identifier: MIT
/// \file belay/queue/queue_errc.hpp
/// QueueErrc: the errors of queues and journals.
#pragma once

#include <system_error>  // std::error_code, std::is_error_code_enum

#include <belay/core/failure.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The errors of queues and journals, of the category "belay.queue".
///
/// New ones are appended; values never change.
enum class QueueErrc {
    queue_full = 1,       ///< the limit is reached, and the overflow policy rejects
    queue_suspended = 2,  ///< pushed while the queue was suspended
    queue_empty = 3,      ///< there is nothing to take
    too_large = 4,        ///< the operation is longer than the limit; nothing was written
    wait_ended = 5,       ///< still full at the deadline of a blocking push
    draining = 6,         ///< drain was called from inside drain
    executor_failed = 7,  ///< the executor of drain returned false
    already_locked = 8,   ///< another process, or this one, has the journal or store open
    corrupt = 9,          ///< the bytes that were read are not those that were written
    foreign_file = 10,    ///< not a file of this journal
    other_version = 11,   ///< in another version of the format, which belay cannot read
    unknown_number = 12,  ///< the number is not, or no longer, in the journal
    bad_options = 13,     ///< the options contradict each other or the format
    duplicate = 14,       ///< the key was taken before, with the same content; nothing was added
    key_conflict = 15,    ///< the key was taken before, with another content; nothing was added
    lease_ended = 16,     ///< the lease ended: acknowledged, returned, or leased again
    bad_encoding = 17,    ///< the codec could not make bytes of the value, or a value of the bytes
    displaced = 18,       ///< the files of an open storage are no longer at its path
    bad_argument = 19,    ///< a value in the call is out of its range; the call did nothing
    must_reopen = 20      ///< a flush failed: nothing is stored until the storage is opened again
};

namespace detail {

inline constexpr ErrorText queue_error_texts[] = {
    {"the queue is full", Cause::overloaded},
    {"the queue is suspended", Cause::refused},
    {"the queue is empty", Cause::refused},
    {"the operation is too large for the queue", Cause::permanent},
    {"the queue was still full at the deadline", Cause::timed_out},
    {"another thread or call is already draining the queue", Cause::refused},
    {"the executor failed", Cause::lost},
    {"the journal or store is already open", Cause::refused},
    {"the stored data is damaged", Cause::corrupt},
    {"the file does not belong to this journal", Cause::permanent},
    {"the journal has another version of its format", Cause::permanent},
    {"the journal does not hold this number", Cause::permanent},
    {"the options are not allowed", Cause::permanent},
    {"an operation with this key was already accepted", Cause::refused},
    {"an operation with this key and another content was already accepted", Cause::permanent},
    {"the lease has ended", Cause::refused},
    {"the codec rejected the value", Cause::permanent},
    {"the storage's files were moved, deleted or replaced while it was open", Cause::refused},
    {"a delay, an expiry or a lease is out of its range, or the queue remembers no keys; see "
     "docs/reference/work-queues.md#opening-and-leasing",
     Cause::permanent},
    {"a flush failed, and the storage must be opened again", Cause::refused},
};

/// Returns the category "belay.queue".
[[nodiscard]] inline const std::error_category& queue_category() noexcept {
    static const TableCategory category{"belay.queue", queue_error_texts};
    return category;
}
}  // namespace detail

/// Makes a std::error_code from a QueueErrc, as the conversion requires.
[[nodiscard]] inline std::error_code make_error_code(QueueErrc error) noexcept {
    return {static_cast<int>(error), detail::queue_category()};
}

}}  // namespace belay

template <>
struct std::is_error_code_enum<belay::QueueErrc> : std::true_type {};
