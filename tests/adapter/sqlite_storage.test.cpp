// SPDX-License-Identifier: MIT
// Goal: SqliteStorage is a storage, keeps its promises, and says what is wrong. Method: the storage
// check, SIGKILL, failing writes and flushes, damaged and foreign files.
#include <belay/adapter/sqlite_storage.hpp>

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>

#include <belay/core/random.hpp>
#include <belay/queue/queue.hpp>

#include "support/catch.hpp"
#include "support/storage_conformance.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using belay_test::in_child;
using belay_test::TemporaryDirectory;

static_assert(std::is_nothrow_move_constructible_v<SqliteStorage> &&
              std::is_nothrow_move_assignable_v<SqliteStorage> &&
              !std::is_copy_constructible_v<SqliteStorage>);

namespace {

// What needs no loss of power is tested without flushes.
constexpr SqliteOptions fast{.sync = SqliteSync::normal};

SqliteStorage opened(const std::string& path, SqliteOptions options = fast) {
    auto storage = SqliteStorage::open(path, options);
    INFO((storage ? "" : storage.error().message()));
    REQUIRE(storage);
    return std::move(*storage);
}

std::string text_for(std::uint64_t number) {
    return std::to_string(number) + std::string(number * 7919 % 300, 'x');
}

void fill(const std::string& path, std::uint64_t count) {
    SqliteStorage storage = opened(path);
    for (std::uint64_t n = 1; n <= count; ++n) {
        REQUIRE_FALSE(storage.try_push(as_bytes(text_for(n))));
    }
}

/// Executes statements as another program would.
void as_another_program(const std::string& path, const char* sql) {
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open(path.c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, sql, nullptr, nullptr, nullptr) == SQLITE_OK);
    REQUIRE(sqlite3_close(db) == SQLITE_OK);
}

/// Why the file does not open.
SqliteError refused(const std::string& path, SqliteOptions options = fast) {
    auto storage = SqliteStorage::open(path, options);
    REQUIRE_FALSE(storage);
    return storage.error();
}

std::string bytes_of(const std::string& path) {
    std::ifstream file{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{file}, {}};
}

/// SQLite's own file system, in which one write or flush fails, and flushes are counted.
struct FailingFiles {
    static inline int flushes = 0;
    static inline int countdown = -1;  // writes and flushes until one fails; -1: none
    static inline int answer = SQLITE_OK;
    static inline int errno_of_database = 0;  // what the system is said to have said, if not 0
    static inline int errno_of_log = 0;
    static inline sqlite3_vfs* base = nullptr;
    static inline sqlite3_vfs vfs{};

    /// A flush fails with SQLITE_IOERR_FSYNC, a write with any other answer, unless both do.
    static int failure(bool is_flush) {
        if (is_flush ? answer == SQLITE_IOERR_WRITE && said() : answer == SQLITE_IOERR_FSYNC) {
            return SQLITE_OK;
        }
        if (countdown < 0 || countdown-- > 0) return SQLITE_OK;
        return answer;
    }
    static bool said() { return errno_of_database != 0 || errno_of_log != 0; }
    /// The database, and its log, which are of different kinds.
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

}  // namespace

TEST_CASE("SqliteStorage conforms, opened again and again", "[adapter][sqlite_storage][property]") {
    const TemporaryDirectory dir;
    int made = 0;
    for (const SqliteSync sync : {SqliteSync::full, SqliteSync::normal}) {
        const auto open = [&] { return opened(dir / std::to_string(made), {.sync = sync}); };
        belay_test::check_storage_conformance(
            [&] {
                ++made;
                return open();
            },
            [](std::uint64_t i) { return Bytes(i % 500, std::byte(i)); }, open,
            {.histories = sync == SqliteSync::full ? 1U : 5U, .steps = 150, .fill = 10});
    }
}

TEST_CASE("SqliteStorage keeps operations in order, over openings",
          "[adapter][sqlite_storage][unit]") {
    const TemporaryDirectory dir;
    fill(dir / "q", 30);
    for (std::uint64_t n = 1; n <= 30; ++n) {
        SqliteStorage storage = opened(dir / "q");
        REQUIRE(storage.size() == 31 - n);
        REQUIRE(as_text(*storage.front()) == text_for(n));
        if (n % 2 == 0) {
            REQUIRE_FALSE(storage.ack());
        } else {
            REQUIRE(storage.try_pop());
        }
    }
    SqliteStorage storage = opened(dir / "q");
    CHECK(storage.front().error() == QueueErrc::queue_empty);
    CHECK_FALSE(storage.try_pop());
    CHECK_FALSE(storage.try_push({}));
    CHECK(storage.front()->empty());
    CHECK_FALSE(storage.sync());
}

TEST_CASE("SqliteStorage under a Queue", "[adapter][sqlite_storage][unit]") {
    const TemporaryDirectory dir;
    Queue queue{opened(dir / "q"), {.limit = 3}};
    for (const char* text : {"a", "b", "c"}) CHECK_FALSE(queue.push(as_bytes(text)));
    CHECK(queue.push(as_bytes("d")) == QueueErrc::queue_full);
    std::string seen;
    const DrainResult result = queue.drain([&](BytesView body) {
        seen += as_text(body);
        return seen.size() < 2;
    });
    CHECK(seen == "ab");
    CHECK(result.drained == 1);
    CHECK(result.error == QueueErrc::executor_failed);
    CHECK(as_text(*queue.pop()) == "b");
    CHECK_FALSE(queue.storage().sync());
}

TEST_CASE("SqliteStorage takes no operation above the limit", "[adapter][sqlite_storage][unit]") {
    const TemporaryDirectory dir;
    SqliteStorage storage = opened(dir / "q", {.sync = SqliteSync::normal, .record_bytes_max = 10});
    CHECK_FALSE(storage.try_push(Bytes(10)));
    CHECK(storage.try_push(Bytes(11)) == QueueErrc::too_large);
    CHECK(storage.size() == 1);
    CHECK_FALSE(storage.failed());
    CHECK(refused(dir / "r", {.record_bytes_max = 2'000'000'000}).code == QueueErrc::bad_options);
}

TEST_CASE("SqliteStorage flushes each change with full, and when asked with normal",
          "[adapter][sqlite_storage][unit]") {
    const TemporaryDirectory dir;
    const FailingFiles files;
    for (const SqliteSync sync : {SqliteSync::full, SqliteSync::normal}) {
        const bool full = sync == SqliteSync::full;
        SqliteStorage storage = opened(dir / (full ? "full" : "normal"), {.sync = sync});
        const auto flushes_of = [](auto change) {
            const int before = FailingFiles::flushes;
            REQUIRE_FALSE(change());
            return FailingFiles::flushes - before;
        };
        const auto push = [&] { return storage.try_push(as_bytes("x")); };
        REQUIRE_FALSE(push());  // the first makes the log's header durable
        CHECK(flushes_of(push) == (full ? 1 : 0));
        CHECK(flushes_of([&] { return storage.ack(); }) == (full ? 1 : 0));
        CHECK((flushes_of([&] { return storage.sync(); }) > 0) == !full);
    }
}

TEST_CASE("SqliteStorage moves with what it lends", "[adapter][sqlite_storage][unit]") {
    const TemporaryDirectory dir;
    fill(dir / "q", 2);
    SqliteStorage storage = opened(dir / "q");
    const BytesView lent = *storage.front();
    SqliteStorage moved = opened(dir / "other");
    moved = std::move(storage);
    CHECK(as_text(lent) == text_for(1));
    CHECK_FALSE(moved.ack());
    CHECK(as_text(*moved.front()) == text_for(2));
    // The file that was assigned over is free again.
    CHECK(opened(dir / "other").size() == 0);
}

TEST_CASE("SqliteStorage::open refuses what another has open", "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    {
        const SqliteStorage storage = opened(dir / "q");
        const SqliteError error = refused(dir / "q");
        CHECK(error.code == QueueErrc::already_locked);
        CHECK(error.message().find("end the other program") != std::string::npos);
        CHECK(in_child([&] {
            const auto second = SqliteStorage::open(dir / "q");
            return !second && second.error().code == QueueErrc::already_locked;
        }));
    }
    // Another program reads it.
    fill(dir / "q", 1);
    sqlite3* db = nullptr;
    REQUIRE(sqlite3_open((dir / "q").c_str(), &db) == SQLITE_OK);
    REQUIRE(sqlite3_exec(db, "BEGIN; SELECT * FROM queue", nullptr, nullptr, nullptr) == SQLITE_OK);
    CHECK(refused(dir / "q").code == QueueErrc::already_locked);
    sqlite3_close(db);
    CHECK(opened(dir / "q").size() == 1);
}

TEST_CASE("SqliteStorage::open says what is wrong with a path",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    CHECK(refused(dir.path()).message().find("choose the path of a file") != std::string::npos);
    CHECK(refused(dir / "no/q").message().find("make the directory of the file first") !=
          std::string::npos);
    CHECK(refused(dir / std::string(300, 'x')).code == std::errc::filename_too_long);
    CHECK(refused("").code == QueueErrc::bad_options);
    CHECK(refused(std::string{"a\0b", 3}).code == QueueErrc::bad_options);
}

TEST_CASE("SqliteStorage::open takes no name for a database without a file",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        if (::chdir(dir.path().c_str()) != 0) return false;
        for (const char* const name : {":memory:", "file:q?mode=memory"}) {
            auto made = SqliteStorage::open(name, fast);
            if (!made || made->try_push(as_bytes("x"))) return false;
            if (!std::filesystem::exists(name)) return false;
        }
        return true;
    }));
}

TEST_CASE("SqliteStorage::open without permission says so", "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    if (::geteuid() != 0) {
        WARN("skipped: only root can drop its rights");
        return;
    }
    fill(dir / "q", 1);
    REQUIRE(::chmod((dir / "q").c_str(), 0444) == 0);
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
    CHECK(in_child([&] {
        if (::setresuid(65534, 65534, 65534) != 0) return false;
        for (const char* const name : {"q", "new"}) {
            const auto storage = SqliteStorage::open(dir / name);
            if (storage || storage.error().code != std::errc::permission_denied ||
                storage.error().message().find("allow this user") == std::string::npos) {
                return false;
            }
        }
        return true;
    }));
}

TEST_CASE("SqliteStorage::open leaves the files of others alone",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    std::ofstream{dir / "text"} << std::string(1000, 'x');
    as_another_program(dir / "db", "CREATE TABLE notes (text)");
    as_another_program(dir / "named", "PRAGMA application_id=7");
    for (const char* const name : {"text", "db", "named"}) {
        const std::string before = bytes_of(dir / name);
        CHECK(refused(dir / name).code == QueueErrc::foreign_file);
        CHECK(bytes_of(dir / name) == before);
    }
    fill(dir / "later", 1);
    as_another_program(dir / "later", "PRAGMA user_version=2");
    CHECK(refused(dir / "later").code == QueueErrc::future_version);
}

TEST_CASE("SqliteStorage::open refuses a queue that lacks operations",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    for (const char* const sql :
         {"DELETE FROM queue WHERE number = 5", "DROP TABLE queue",
          "UPDATE queue SET number = -1 WHERE number = 1", "PRAGMA user_version=0"}) {
        INFO(sql);
        const std::string path = dir / std::to_string(sql[0]) + sql[1] + sql[2];
        fill(path, 10);
        as_another_program(path, sql);
        CHECK(refused(path).code == QueueErrc::corrupt);
    }
}

TEST_CASE("SqliteStorage finds an operation that is not what was pushed",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    fill(dir / "q", 3);
    as_another_program(dir / "q", "UPDATE queue SET body = x'00' WHERE number = 2");
    SqliteStorage storage = opened(dir / "q");
    CHECK(as_text(*storage.try_pop()) == text_for(1));
    CHECK(storage.front().error() == QueueErrc::corrupt);
    CHECK_FALSE(storage.try_pop());
    CHECK(storage.size() == 2);
    CHECK_FALSE(storage.ack());  // given up unread
    CHECK(as_text(*storage.front()) == text_for(3));
    // Whole, but at each other's place.
    fill(dir / "swapped", 2);
    as_another_program(dir / "swapped",
                       "UPDATE queue SET number = number + 10;"
                       "UPDATE queue SET number = 13 - number");
    CHECK(opened(dir / "swapped").front().error() == QueueErrc::corrupt);
}

TEST_CASE("SqliteStorage with a flipped bit, or cut short, gives nothing that was not pushed",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    fill(dir / "q", 12);
    const std::string whole = bytes_of(dir / "q");
    // Whether it was noticed.
    const auto noticed = [&](const std::string& damaged) {
        std::ofstream{dir / "d", std::ios::binary} << damaged;
        auto storage = SqliteStorage::open(dir / "d", fast);
        if (!storage) return true;
        for (std::uint64_t n = 1; storage->size() > 0; ++n) {
            const auto body = storage->front();
            if (!body) return true;
            REQUIRE(as_text(*body) == text_for(n));
            if (storage->ack()) return true;
        }
        return false;
    };
    CHECK_FALSE(noticed(whole));
    Random bits{Seed{1}};
    int count = 0;
    for (std::size_t at = 0; at < whole.size(); at += 1 + bits() % 200) {
        INFO("byte " << at);
        std::string damaged = whole;
        damaged[at] = static_cast<char>(damaged[at] ^ (1 << bits() % 8));
        if (noticed(damaged)) ++count;
    }
    CHECK(count > 10);
    // A single byte is what SQLite itself writes into an empty file on some systems.
    for (std::size_t length = 2; length < whole.size(); length += 1500) {
        INFO("cut to " << length);
        CHECK(noticed(whole.substr(0, length)));
    }
}

TEST_CASE(
    "SqliteStorage: a write or flush that fails, at any place, loses nothing and claims nothing",
    "[adapter][sqlite_storage][fault]") {
    FailingFiles files;
    for (const int answer : {SQLITE_FULL, SQLITE_IOERR_WRITE}) {
        bool failed_somewhere = true;
        for (int place = 0; failed_somewhere; ++place) {
            REQUIRE(place < 100);
            const TemporaryDirectory dir;
            std::uint64_t pushed = 0;
            std::uint64_t removed = 0;
            bool unknown = false;
            failed_somewhere = false;
            {
                SqliteStorage storage = opened(dir / "q", {});
                FailingFiles::answer = answer;
                FailingFiles::countdown = place;
                for (int i = 0; i < 6; ++i) {
                    const bool push = i % 3 != 2;
                    const std::error_code error =
                        push ? storage.try_push(as_bytes(text_for(pushed + 1))) : storage.ack();
                    failed_somewhere = failed_somewhere || error;
                    if (!error) ++(push ? pushed : removed);
                    REQUIRE(storage.size() == pushed - removed);
                    const bool poisoned = error && answer == SQLITE_IOERR_WRITE;
                    REQUIRE(storage.failed() == (poisoned ? error : std::error_code{}));
                    if (poisoned) {
                        // It takes nothing more, and can still be read.
                        unknown = true;
                        REQUIRE(error == std::errc::io_error);
                        REQUIRE(storage.try_push(as_bytes("more")) == storage.failed());
                        REQUIRE(storage.sync() == storage.failed());
                        if (storage.size() == 0) break;
                        REQUIRE(as_text(*storage.front()) == text_for(removed + 1));
                        REQUIRE_FALSE(storage.try_pop());
                        break;
                    }
                }
                FailingFiles::countdown = -1;
            }
            INFO("place " << place << ", answer " << answer);
            SqliteStorage storage = opened(dir / "q");
            // The call that failed may have taken effect only if the storage said that it is
            // unknown.
            std::uint64_t n = removed + 1;
            if (storage.size() > 0 && as_text(*storage.front()) == text_for(removed + 2)) {
                REQUIRE(unknown);
                ++n;
            }
            for (; storage.size() > 0; ++n) REQUIRE(as_text(*storage.try_pop()) == text_for(n));
            REQUIRE(n - 1 >= pushed);
            REQUIRE(n - 1 <= pushed + (unknown ? 1 : 0));
        }
    }
}

TEST_CASE("SqliteStorage::try_pop with a disk that fails, at any place, loses no value",
          "[adapter][sqlite_storage][regression]") {
    const FailingFiles files;
    for (const int answer : {SQLITE_IOERR_WRITE, SQLITE_IOERR_FSYNC}) {
        int broken = 0;
        bool failed_somewhere = true;
        for (int place = 0; failed_somewhere; ++place) {
            REQUIRE(place < 100);
            INFO("place " << place << ", answer " << answer);
            const TemporaryDirectory dir;
            fill(dir / "q", 4);
            std::set<std::string> seen;
            const TemporaryDirectory left;
            {
                SqliteStorage storage = opened(dir / "q", {});
                FailingFiles::answer = answer;
                FailingFiles::countdown = place;
                for (int i = 0; i < 4; ++i) {
                    if (const auto value = storage.try_pop()) seen.emplace(as_text(*value));
                }
                failed_somewhere = FailingFiles::countdown == -1;
                FailingFiles::countdown = -1;
                if (storage.failed()) ++broken;
                // As if the process were killed here: closing would tidy up.
                for (const char* const name : {"q", "q-wal"}) {
                    std::error_code none;
                    std::filesystem::copy_file(dir / name, left / name, none);
                }
            }
            SqliteStorage storage = opened(left / "q");
            while (const auto value = storage.try_pop()) seen.emplace(as_text(*value));
            REQUIRE(seen.size() == 4);
        }
        CHECK(broken > 0);
    }
}

TEST_CASE("SqliteStorage: a flush that fails for lack of space leaves the outcome unknown",
          "[adapter][sqlite_storage][regression]") {
    FailingFiles files;
    const auto failed_after = [](int answer) {
        const TemporaryDirectory dir;
        SqliteStorage storage = opened(dir / "q", {});
        REQUIRE_FALSE(storage.try_push(as_bytes("one")));
        FailingFiles::errno_of_log = ENOSPC;
        FailingFiles::answer = answer;
        FailingFiles::countdown = 0;
        const std::error_code error = storage.try_push(as_bytes("two"));
        FailingFiles::countdown = -1;
        FailingFiles::errno_of_log = 0;
        CHECK(error == std::errc::no_space_on_device);
        CHECK(storage.size() == 1);
        return storage.failed() == error;
    };
    // Its frames are in the log, and may be found there.
    CHECK(failed_after(SQLITE_IOERR_FSYNC));
    CHECK_FALSE(failed_after(SQLITE_IOERR_WRITE));
}

TEST_CASE("SqliteStorage::sync asks the database what went wrong, not the log",
          "[adapter][sqlite_storage][regression]") {
    FailingFiles files;
    const TemporaryDirectory dir;
    SqliteStorage storage = opened(dir / "q", {.sync = SqliteSync::normal});
    REQUIRE_FALSE(storage.try_push(as_bytes("one")));
    FailingFiles::errno_of_database = EFBIG;
    FailingFiles::answer = SQLITE_IOERR_WRITE;
    FailingFiles::countdown = 0;
    CHECK(storage.sync() == std::errc::file_too_large);
    CHECK_FALSE(storage.failed());
    FailingFiles::countdown = -1;
    CHECK_FALSE(storage.sync());
    CHECK(storage.size() == 1);
}

TEST_CASE("SqliteStorage at the limit of file sizes goes on when there is room again",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        auto storage = SqliteStorage::open(dir / "q", fast);
        if (!storage) return false;
        rlimit limit{64 << 10, RLIM_INFINITY};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        std::uint64_t taken = 0;
        std::error_code error;
        while (!(error = storage->try_push(as_bytes(text_for(taken + 1))))) ++taken;
        if (!belay::detail::is_lack_of_space(error) || storage->failed() || taken < 3) return false;
        if (storage->size() != taken || as_text(*storage->front()) != text_for(1)) return false;
        limit.rlim_cur = RLIM_INFINITY;
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        if (storage->try_push(as_bytes(text_for(++taken)))) return false;
        std::ofstream{dir / "taken"} << taken;
        return true;
    }));
    std::uint64_t taken = 0;
    std::ifstream{dir / "taken"} >> taken;
    SqliteStorage storage = opened(dir / "q");
    CHECK(storage.size() == taken);
    for (std::uint64_t n = 1; n <= taken; ++n) REQUIRE(as_text(*storage.try_pop()) == text_for(n));
}

TEST_CASE("SqliteStorage keeps what it answered through SIGKILL",
          "[adapter][sqlite_storage][fault]") {
    const TemporaryDirectory dir;
    Random bits{Seed{1}};
    // What a writer has told over a pipe, that no kill can take back.
    std::uint64_t told[2] = {0, 0};  // pushed, removed
    for (int round = 0; round < 24; ++round) {
        int pipe[2];
        REQUIRE(::pipe(pipe) == 0);
        const pid_t child = ::fork();
        if (child == 0) {
            auto storage = SqliteStorage::open(
                dir / "q", {.sync = round % 2 == 0 ? SqliteSync::full : SqliteSync::normal});
            if (!storage) ::_exit(1);
            Random chance{Seed{static_cast<std::uint64_t>(round) + 100}};
            for (;;) {
                if (chance() % 5 < 3 || storage->size() == 0) {
                    if (storage->try_push(as_bytes(text_for(told[0] + 1)))) ::_exit(2);
                    ++told[0];
                } else {
                    if (as_text(*storage->front()) != text_for(told[1] + 1)) ::_exit(3);
                    if (storage->ack()) ::_exit(4);
                    ++told[1];
                }
                if (::write(pipe[1], told, sizeof told) != sizeof told) ::_exit(5);
            }
        }
        ::close(pipe[1]);
        const std::uint64_t until = 1 + bits() % 60;
        for (std::uint64_t i = 0; i < until; ++i) {
            if (::read(pipe[0], told, sizeof told) != sizeof told) break;
        }
        ::kill(child, SIGKILL);
        int status = 0;
        REQUIRE(::waitpid(child, &status, 0) == child);
        REQUIRE(WIFSIGNALED(status));
        // What it told before it died, and had not been read yet.
        while (::read(pipe[0], told, sizeof told) == sizeof told) continue;
        ::close(pipe[0]);

        SqliteStorage storage = opened(dir / "q");
        // At most one call was answered to nobody: a push, or an ack.
        if (storage.size() == told[0] - told[1] + 1) {
            ++told[0];
        } else if (storage.size() + 1 == told[0] - told[1]) {
            ++told[1];
        }
        REQUIRE(storage.size() == told[0] - told[1]);
        if (storage.size() > 0) REQUIRE(as_text(*storage.front()) == text_for(told[1] + 1));
    }
    CHECK(told[0] > 100);
    SqliteStorage storage = opened(dir / "q");
    for (std::uint64_t n = told[1] + 1; n <= told[0]; ++n) {
        REQUIRE(as_text(*storage.try_pop()) == text_for(n));
    }
    CHECK(storage.size() == 0);
}
