// SPDX-License-Identifier: MIT
/// \file belay/sqlite/detail/table.hpp
/// SqliteTable: the table of a queue in SQLite.
#pragma once

#include <cstdint>  // std::int64_t
#include <string>   // std::string

#include <belay/sqlite/detail/database.hpp>
#include <belay/sqlite/detail/record_check.hpp>
#include <belay/sqlite/detail/table_storage.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// The Table of TableStorage in SQLite. See sqlite::Storage for the format.
class SqliteTable {
public:
    [[nodiscard]] std::error_code open(const std::string& path, bool flushes_each,
                                       NumberRange& range) {
        flushes_each_ = flushes_each;
        std::error_code error = db_.open(path, {0x62656C71, 1}, schema, flushes_each);
        if (!error)
            error = db_.prepare({{"INSERT INTO queue VALUES (?, ?, ?)", insert_},
                                 {"SELECT crc, body FROM queue WHERE number = ?", select_},
                                 {"DELETE FROM queue WHERE number = ?", remove_}});
        return error ? error : take_stock(range);
    }

    [[nodiscard]] std::error_code insert(std::uint64_t number, BytesView body) noexcept {
        if (const std::error_code error = db_.look()) return error;
        const SqliteRun run{insert_};
        run.bind(1, static_cast<std::int64_t>(number));
        run.bind(2, std::int64_t{record_check(number, body)});
        run.bind(3, body);
        const int answer = run.step();
        return answer == SQLITE_DONE ? std::error_code{} : failure(answer);
    }
    [[nodiscard]] std::error_code read(std::uint64_t number, Bytes& into) const {
        const SqliteRun run{select_};
        run.bind(1, static_cast<std::int64_t>(number));
        const int answer = run.step();
        if (answer != SQLITE_ROW)
            return db_.code_of(answer == SQLITE_DONE ? SQLITE_CORRUPT : answer);
        const BytesView body = run.bytes(1);
        if (run.number(0) != record_check(number, body)) return make_error_code(QueueErrc::corrupt);
        into.assign(body.begin(), body.end());
        return {};
    }
    [[nodiscard]] std::error_code remove(std::uint64_t number) noexcept {
        if (const std::error_code error = db_.look()) return error;
        const SqliteRun run{remove_};
        run.bind(1, static_cast<std::int64_t>(number));
        if (const int answer = run.step(); answer != SQLITE_DONE) return failure(answer);
        return db_.changes() == 1 ? std::error_code{} : failure(SQLITE_CORRUPT);
    }
    [[nodiscard]] std::error_code flush() noexcept {
        if (flushes_each_) return {};
        if (const std::error_code error = db_.look()) return error;
        const int answer = db_.checkpoint();
        return answer == SQLITE_OK ? std::error_code{}
                                   : failure(answer, db_.code_of_checkpoint(answer));
    }
    [[nodiscard]] std::error_code failed() const noexcept { return failed_; }
    [[nodiscard]] const char* last_words() const noexcept { return db_.last_words(); }

private:
    /// Returns the error of a call on the open queue. If there was no space to write, nothing has
    /// changed. After any other error the content of the file is unknown.
    [[nodiscard]] std::error_code failure(int answer) noexcept {
        return failure(answer, db_.code_of_write(answer));
    }
    [[nodiscard]] std::error_code failure(int answer, const std::error_code& code) noexcept {
        if (!db_.changed_nothing(answer, code)) failed_ = code;
        return code;
    }

    static constexpr const char* schema =
        "BEGIN; CREATE TABLE queue (number INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body "
        "BLOB NOT NULL); PRAGMA application_id=0x62656C71; PRAGMA user_version=1; COMMIT";
    [[nodiscard]] std::error_code take_stock(NumberRange& range) noexcept {
        std::int64_t found[3] = {};
        if (const std::error_code error =
                db_.ask("SELECT count(*), min(number), max(number) FROM queue", found)) {
            return error;
        }
        const auto [count, first, last] = found;
        if (count == 0) return {};
        if (first < 1) return make_error_code(QueueErrc::corrupt);
        range = {static_cast<std::uint64_t>(first), static_cast<std::uint64_t>(last)};
        return range.holds_all_of(static_cast<std::uint64_t>(count))
                   ? std::error_code{}
                   : make_error_code(QueueErrc::corrupt);
    }

    // Declared first, because the statements must be destroyed before the database.
    SqliteDatabase db_;
    SqliteStatement insert_;
    SqliteStatement select_;
    SqliteStatement remove_;
    std::error_code failed_;
    bool flushes_each_ = true;
};

}}}  // namespace belay::detail
