// SPDX-License-Identifier: MIT
/// \file belay/sqlite/error.hpp
/// sqlite::Error: the reason why a file of SQLite could not be opened, with advice.
#pragma once

#include <sqlite3.h>

#include <string>        // std::string
#include <string_view>   // std::string_view
#include <system_error>  // std::error_code
#include <utility>       // std::move

#include <belay/journal/advised_error.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the meaning of an SQLite result that is not success. `system` is the errno that SQLite
/// saw, if any.
[[nodiscard]] inline std::error_code code_of_sqlite(int answer, std::errc system = {}) noexcept {
    switch (answer & 0xFF) {
        case SQLITE_BUSY:
        case SQLITE_LOCKED:
        case SQLITE_PROTOCOL:  // others held the locks of a reader for too long
            return make_error_code(QueueErrc::already_locked);
        case SQLITE_NOTADB:
            return make_error_code(QueueErrc::foreign_file);
        case SQLITE_TOOBIG:
            return make_error_code(QueueErrc::too_large);
        case SQLITE_FULL:
            return std::make_error_code(std::errc::no_space_on_device);
        case SQLITE_NOMEM:
            return std::make_error_code(std::errc::not_enough_memory);
        case SQLITE_PERM:
        case SQLITE_READONLY:
            return std::make_error_code(std::errc::permission_denied);
        case SQLITE_CANTOPEN:
        case SQLITE_IOERR:
            if (system != std::errc{}) return std::make_error_code(system);
            return std::make_error_code(std::errc::io_error);
        // The statements are correct: if they do not fit, the tables are not those of a queue.
        default:
            return make_error_code(QueueErrc::corrupt);
    }
}

/// The words of a sqlite::Error.
struct SqliteWords {
    static constexpr const char* nowhere = "an empty path";
    template <class Error>
    [[nodiscard]] static const char* advice(const Error& error) noexcept {
        return advice_in(
            {{QueueErrc::corrupt,
              "restore the file from a backup; or save the output of '.recover' of the sqlite3 "
              "program, and open a new file"},
             {QueueErrc::bad_options, "see sqlite::Options for the allowed values"}},
            error.code, file_advice(error.code));
    }
};

}}}  // namespace belay::detail

namespace belay { inline namespace BELAY_ABI { namespace sqlite {

/// The reason why a queue, store or database of rooms in SQLite could not be opened: what, where,
/// and what to do about it.
///
/// Thread safety: a plain value.
struct Error : part::AdvisedError<detail::SqliteWords> {
    Error() = default;
    Error(std::error_code error, std::string path, std::string words,
          // NOLINTNEXTLINE(bugprone-easily-swappable-parameters): in the order of the members
          const char* content = "journal", const char* its_options = "sqlite::Options") noexcept
        : AdvisedError{error, std::move(path), std::move(words)},
          holds{content},
          options{its_options} {}

    /// The name of the content of the file, and of its options; for message().
    const char* holds = "journal";
    const char* options = "sqlite::Options";  ///< a text that stays valid

    /// Returns a message such as "notes.db: the store is already open (database is locked): end
    /// the other …".
    ///
    /// Allocates; throws std::bad_alloc.
    [[nodiscard]] std::string message() const {
        std::string reason = code.message();
        std::string todo = advice();
        // The texts of QueueErrc are those of a queue in a journal.
        if (code.category() == detail::queue_category()) {
            replace(reason, "journal or store", holds);
            replace(reason, "journal", holds);
        }
        if (std::string_view{holds} != "journal") replace(todo, "queue", holds);
        replace(todo, "sqlite::Options", options);
        return detail::error_message(where.empty() ? detail::SqliteWords::nowhere : where, reason,
                                     what, todo.c_str());
    }

private:
    static void replace(std::string& text, std::string_view word, std::string_view by) {
        const auto at = text.find(word);
        if (at != text.npos) text.replace(at, word.size(), by);
    }
};

}}}  // namespace belay::sqlite
