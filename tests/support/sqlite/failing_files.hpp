// SPDX-License-Identifier: MIT
/// \file tests/support/sqlite/failing_files.hpp
/// FailingFiles: SQLite's files, in which a write or flush fails; and Sqlite, the database of the
/// tests of all databases.
#pragma once

#include <sqlite3.h>

#include <cstdint>
#include <string>
#include <system_error>

#include <belay/sqlite/storage.hpp>

#include "support/catch.hpp"

namespace belay_test {

/// Executes statements like another program.
inline void run_sql(const std::string& path, const std::string& sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, sql.c_str(), nullptr, nullptr, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_close(db) == SQLITE_OK);
}

/// SQLite's own file system, in which one write or flush fails, and flushes are counted.
struct FailingFiles {
    static inline int flushes = 0;
    static inline int countdown = -1;  // writes and flushes until one fails; -1: none
    static inline int answer = SQLITE_OK;
    static inline int errno_of_database = 0;  // the reported error of the system, if not 0
    static inline int errno_of_log = 0;
    static inline sqlite3_vfs* base = nullptr;
    static inline sqlite3_vfs vfs{};

    /// A flush fails with SQLITE_IOERR_FSYNC, and a write with any other result, unless both fail.
    static int failure(bool is_flush) {
        if (is_flush ? answer == SQLITE_IOERR_WRITE && output() : answer == SQLITE_IOERR_FSYNC) {
            return SQLITE_OK;
        }
        if (countdown < 0 || countdown-- > 0) return SQLITE_OK;
        return answer;
    }
    static bool output() { return errno_of_database != 0 || errno_of_log != 0; }
    /// The database and its log, which have different kinds.
    template <int kind>
    struct Methods {
        static inline const sqlite3_io_methods* real = nullptr;
        static inline sqlite3_io_methods mine{};

        static int write(sqlite3_file* file, const void* bytes, int count, sqlite3_int64 at) {
            const int fails = failure(false);
            return fails != SQLITE_OK ? fails : real->xWrite(file, bytes, count, at);
        }
        static int sync(sqlite3_file* file, int flags) {
            ++flushes;
            const int fails = failure(true);
            return fails != SQLITE_OK ? fails : real->xSync(file, flags);
        }
        static int control(sqlite3_file* file, int what, void* argument) {
            const int system = kind == 0 ? errno_of_database : errno_of_log;
            if (what != SQLITE_FCNTL_LAST_ERRNO || system == 0) {
                return real->xFileControl(file, what, argument);
            }
            *static_cast<int*>(argument) = system;
            return SQLITE_OK;
        }
        static void replace(sqlite3_file* file) {
            real = file->pMethods;
            mine = *real;
            mine.xWrite = write;
            mine.xSync = sync;
            mine.xFileControl = control;
            file->pMethods = &mine;
        }
    };
    static int open(sqlite3_vfs*, const char* name, sqlite3_file* file, int flags, int* out) {
        const int result = base->xOpen(base, name, file, flags, out);
        if (file->pMethods == nullptr) return result;
        (flags & SQLITE_OPEN_MAIN_DB) != 0 ? Methods<0>::replace(file) : Methods<1>::replace(file);
        return result;
    }

    FailingFiles() {
        base = sqlite3_vfs_find(nullptr);
        vfs = *base;
        vfs.zName = "failing";
        vfs.xOpen = open;
        sqlite3_vfs_register(&vfs, 1);
    }
    FailingFiles(const FailingFiles&) = delete;
    FailingFiles& operator=(const FailingFiles&) = delete;
    ~FailingFiles() {
        countdown = -1;
        errno_of_database = errno_of_log = 0;
        sqlite3_vfs_unregister(&vfs);
    }
};

struct Sqlite {
    using Storage = belay::sqlite::Storage;
    using Options = belay::sqlite::Options;
    using System = FailingFiles;
    static constexpr belay::sqlite::Options full{};
    static constexpr belay::sqlite::Options fast{.flush = belay::sqlite::Flush::normal};
    static constexpr std::uint64_t openings = 30;
    static constexpr std::errc no_room = std::errc::file_too_large;
};

}  // namespace belay_test
