// SPDX-License-Identifier: MIT
// Goal: lmdb::Storage is a storage, keeps its guarantees, and reports errors with advice.
// Method: the storage check, SIGKILL, failing writes and flushes, damaged and foreign files.
#include <belay/adapter/lmdb_storage.hpp>

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <cerrno>
#include <csignal>
#include <fstream>
#include <utility>

#include "support/adapter/database_faults.hpp"
#include "support/adapter/database_suite.hpp"

using namespace belay;
using namespace belay_test;

static_assert(explain::leasable_like<lmdb::Storage>());

namespace {

/// The system functions for LMDB, replaced by those below: one write or flush fails, and flushes
/// are counted.
struct FailingSystem {
    static inline int flushes = 0;
    static inline int directory_flushes = 0;
    static inline int countdown = -1;  // writes and flushes until one fails; -1: none
    static inline int error = EIO;
    // The failing call takes effect nevertheless, and all calls after it fail.
    static inline bool for_good = false;
    static inline bool has_failed = false;

    FailingSystem() = default;
    FailingSystem(const FailingSystem&) = delete;
    FailingSystem& operator=(const FailingSystem&) = delete;
    ~FailingSystem() {
        countdown = -1;
        for_good = false;
    }

    /// Returns the result of `work`, unless this call fails.
    template <class Work>
    static long run(Work work) {
        if (countdown < 0) {
            has_failed = false;
            return work();
        }
        if (countdown > 0) {
            --countdown;
            return work();
        }
        if (!for_good) countdown = -1;
        if (for_good && !std::exchange(has_failed, true)) work();
        errno = error;
        return -1;
    }
};

}  // namespace

// Symbols of the program replace those of the C library, also for LMDB.
extern "C" ssize_t pwrite(int fd, const void* bytes, std::size_t count, off_t at) {
    return FailingSystem::run([&] { return ::syscall(SYS_pwrite64, fd, bytes, count, at); });
}
extern "C" ssize_t writev(int fd, const iovec* pieces, int count) {
    return FailingSystem::run([&] { return ::syscall(SYS_writev, fd, pieces, count); });
}
extern "C" int fdatasync(int fd) {
    ++FailingSystem::flushes;
    return static_cast<int>(FailingSystem::run([&] { return ::syscall(SYS_fdatasync, fd); }));
}
// Only directories are flushed by this function.
extern "C" int fsync(int fd) {
    ++FailingSystem::directory_flushes;
    return static_cast<int>(FailingSystem::run([&] { return ::syscall(SYS_fsync, fd); }));
}

namespace {

struct Lmdb {
    using Storage = lmdb::Storage;
    using Options = lmdb::Options;
    using System = FailingSystem;
    static constexpr lmdb::Options full{};
    static constexpr lmdb::Options fast{.flush = lmdb::Flush::none};
    static constexpr std::uint64_t openings = 300;
    // A write that was cut short has no error of the system, and LMDB uses this one.
    static constexpr std::errc no_room = std::errc::io_error;
};

MDB_val as_value(const std::string& text) { return {text.size(), const_cast<char*>(text.data())}; }

/// `change(transaction, table)` in the place of another program.
template <class Change>
void as_another_program(const std::string& path, Change change, unsigned kind_of_table = 0) {
    MDB_env* env = nullptr;
    REQUIRE(mdb_env_create(&env) == 0);
    REQUIRE(mdb_env_open(env, path.c_str(), MDB_NOSUBDIR, 0644) == 0);
    MDB_txn* txn = nullptr;
    MDB_dbi table = 0;
    REQUIRE(mdb_txn_begin(env, nullptr, 0, &txn) == 0);
    REQUIRE(mdb_dbi_open(txn, nullptr, kind_of_table, &table) == 0);
    change(txn, table);
    REQUIRE(mdb_txn_commit(txn) == 0);
    mdb_env_close(env);
}
void put(MDB_txn* txn, MDB_dbi table, const std::string& name, const std::string& text) {
    MDB_val key = as_value(name);
    MDB_val value = as_value(text);
    REQUIRE(mdb_put(txn, table, &key, &value, 0) == 0);
}
std::string key_of(char number) { return std::string(7, '\0') + number; }

}  // namespace

TEST_CASE("lmdb::Storage passes the tests of all databases", "[adapter][lmdb_storage][fault]") {
    belay_test::check_database<Lmdb>();
}

TEST_CASE("lmdb::Storage writes the format that it documents", "[adapter][lmdb_storage][golden]") {
    const TemporaryDirectory dir;
    {
        lmdb::Storage storage = opened<Lmdb>(dir / "q");
        REQUIRE_FALSE(storage.try_push(as_bytes("hello")));
    }
    as_another_program(dir / "q", [](MDB_txn* txn, MDB_dbi table) {
        const std::string zero = key_of(0);
        const std::string one = key_of(1);
        MDB_val key = as_value(zero);
        MDB_val value;
        REQUIRE(mdb_get(txn, table, &key, &value) == 0);
        CHECK(std::string{static_cast<char*>(value.mv_data), value.mv_size} ==
              std::string{"belayq\x01\0", 8});
        key = as_value(one);
        REQUIRE(mdb_get(txn, table, &key, &value) == 0);
        const auto* const bytes = static_cast<const std::byte*>(value.mv_data);
        REQUIRE(value.mv_size == 9);
        CHECK(load_le<std::uint32_t>(bytes) ==
              part::crc32c(as_bytes(std::string_view{"\x01\0\0\0\0\0\0\0hello", 13})));
        CHECK(as_text({bytes + 4, 5}) == "hello");
    });
}

TEST_CASE("lmdb::Storage::open rejects limits that do not fit", "[adapter][lmdb_storage][unit]") {
    const TemporaryDirectory dir;
    CHECK(refused<Lmdb>(dir / "r", {.bytes_max = 100'000}).code == QueueErrc::bad_options);
    CHECK(refused<Lmdb>(dir / "r", {.record_bytes_max = 2'000'000'000, .bytes_max = 4'000'000'000})
              .code == QueueErrc::bad_options);
    CHECK(refused<Lmdb>(dir / "r", {.bytes_max = 0}).code == QueueErrc::bad_options);
    // The error names the limit, and the reason.
    CHECK(refused<Lmdb>(dir / "r", {.bytes_max = 0}).message().find("64 KiB more than record") !=
          std::string::npos);
    CHECK(refused<Lmdb>("", {}).message().find("the path is empty") != std::string::npos);
}

TEST_CASE("lmdb::Storage grows beyond its first map, up to its limit, and continues below it",
          "[adapter][lmdb_storage][unit]") {
    const TemporaryDirectory dir;
    const lmdb::Options options{
        .flush = lmdb::Flush::none, .record_bytes_max = 100'000, .bytes_max = 8'000'000};
    std::uint64_t pushed = 0;
    std::uint64_t removed = 0;
    const auto body = [](std::uint64_t n) { return Bytes(n * 7919 % 100'000, std::byte(n)); };
    std::size_t bytes = 0;
    for (int round = 0; round < 4; ++round) {
        lmdb::Storage storage = opened<Lmdb>(dir / "q", options);
        std::error_code error;
        while (!(error = storage.try_push(body(pushed)))) bytes += body(pushed++).size();
        REQUIRE(error == QueueErrc::queue_full);
        REQUIRE_FALSE(storage.failed());
        // Pages with a part of the data, and those that refer to them.
        CHECK(bytes > 7'000'000);
        CHECK(bytes < 8'000'000);
        // A full storage can be emptied, as a whole or in part.
        const std::size_t keep = round == 2 ? 0 : storage.size() / 2;
        while (storage.size() > keep) {
            REQUIRE(*storage.try_pop() == body(removed));
            bytes -= body(removed++).size();
        }
    }
    lmdb::Storage storage = opened<Lmdb>(dir / "q", options);
    while (storage.size() > 0) REQUIRE(*storage.try_pop() == body(removed++));
    CHECK(pushed == removed);
    CHECK(bytes_of(dir / "q").size() < 24'000'000);
}

TEST_CASE("lmdb::Storage::open with Flush::full flushes data that Flush::none left in memory",
          "[adapter][lmdb_storage][regression]") {
    const TemporaryDirectory dir;
    fill<Lmdb>(dir / "q", 1);
    const int before = FailingSystem::flushes;
    opened<Lmdb>(dir / "q");
    CHECK(FailingSystem::flushes == before);
    const lmdb::Storage storage = opened<Lmdb>(dir / "q", {.flush = lmdb::Flush::full});
    CHECK(FailingSystem::flushes > before);
}

TEST_CASE("lmdb::Storage reclaims pages that a dead reader held",
          "[adapter][lmdb_storage][regression]") {
    const TemporaryDirectory dir;
    lmdb::Storage storage = opened<Lmdb>(dir / "q");
    // This many transactions, as far as there are slots for them.
    const auto a_reader_dies = [&](int transactions) {
        return in_child([&] {
            MDB_env* env = nullptr;
            MDB_txn* txn = nullptr;
            if (mdb_env_create(&env) != 0 ||
                mdb_env_open(env, (dir / "q").c_str(), MDB_NOSUBDIR | MDB_NOTLS | MDB_RDONLY, 0) !=
                    0) {
                return false;
            }
            int answer = 0;
            for (int i = 0; i < transactions && answer == 0; ++i) {
                answer = mdb_txn_begin(env, nullptr, MDB_RDONLY, &txn);
            }
            return answer == (transactions == 1 ? 0 : MDB_READERS_FULL);
        });
    };
    REQUIRE(a_reader_dies(1));
    for (int i = 0; i < 300; ++i) {
        REQUIRE_FALSE(storage.try_push(Bytes(20'000)));
        REQUIRE(storage.try_pop());
    }
    CHECK(bytes_of(dir / "q").size() <= std::size_t{1} << 20);
    REQUIRE(a_reader_dies(1000));
    REQUIRE_FALSE(storage.try_push(as_bytes("x")));
    CHECK(as_text(*storage.front()) == "x");
}

TEST_CASE("lmdb::Storage::open rejects files of other programs, and does not change them",
          "[adapter][lmdb_storage][fault]") {
    const TemporaryDirectory dir;
    std::ofstream{dir / "text"} << std::string(5000, 't');
    std::ofstream{dir / "short"} << "short";
    const auto holding = [&](const char* name, const std::string& key, const std::string& value) {
        as_another_program(dir / name,
                           [&](MDB_txn* txn, MDB_dbi table) { put(txn, table, key, value); });
    };
    holding("theirs", "name", "value");
    holding("zero", key_of(0), "belay");
    holding("long", key_of(0), std::string{"belayq\x01\0 and more", 17});
    for (const char* const name : {"text", "short", "theirs", "zero", "long"}) {
        const lmdb::Error error = belay_test::check_foreign<Lmdb>(dir / name);
        CHECK(error.message().find("choose a file that only this queue uses") != std::string::npos);
    }
    holding("later", key_of(0), std::string{"belayq\x02\0", 8});
    CHECK(refused<Lmdb>(dir / "later").code == QueueErrc::other_version);
}

TEST_CASE("lmdb::Storage::open rejects a file in another order, even an empty one",
          "[adapter][lmdb_storage][regression]") {
    const TemporaryDirectory dir;
    for (const unsigned kind : {unsigned{MDB_REVERSEKEY}, unsigned{MDB_DUPSORT}}) {
        const std::string path = dir / std::to_string(kind);
        as_another_program(
            path,
            [](MDB_txn* txn, MDB_dbi table) {
                put(txn, table, "name", "value");
                const std::string name = "name";
                MDB_val key = as_value(name);
                REQUIRE(mdb_del(txn, table, &key, nullptr) == 0);
            },
            kind);
        CHECK(refused<Lmdb>(path).code == QueueErrc::foreign_file);
    }
    // The order of another empty file cannot be determined.
    as_another_program(dir / "empty", [](MDB_txn*, MDB_dbi) {});
    CHECK(opened<Lmdb>(dir / "empty").size() == 0);
}

TEST_CASE("lmdb::Storage::open that fails while it creates the file can be repeated",
          "[adapter][lmdb_storage][fault]") {
    const FailingSystem system;
    FailingSystem::error = ENOSPC;
    int failed = 0;
    for (const lmdb::Flush flush : {lmdb::Flush::full, lmdb::Flush::none}) {
        for (int place = 0; failed == place; ++place) {
            REQUIRE(place < 20);
            INFO("place " << place);
            const TemporaryDirectory dir;
            FailingSystem::countdown = place;
            if (!lmdb::Storage::open(dir / "q", {.flush = flush})) ++failed;
            FailingSystem::countdown = -1;
            CHECK(opened<Lmdb>(dir / "q", {.flush = flush}).size() == 0);
            REQUIRE_FALSE(opened<Lmdb>(dir / "q").try_push(as_bytes("x")));
        }
        CHECK(failed >= 2);
        failed = 0;
    }
}

TEST_CASE("lmdb::Storage::open flushes the directory of a new file before it is a queue",
          "[adapter][lmdb_storage][regression]") {
    const FailingSystem system;
    FailingSystem::error = EIO;
    bool failed_flush = false;
    for (int place = 0; place < 10 && !failed_flush; ++place) {
        const TemporaryDirectory dir;
        const int before = FailingSystem::directory_flushes;
        FailingSystem::countdown = place;
        const bool is_open = static_cast<bool>(lmdb::Storage::open(dir / "q"));
        FailingSystem::countdown = -1;
        failed_flush = !is_open && FailingSystem::directory_flushes > before;
        if (!failed_flush) continue;
        const int first = FailingSystem::directory_flushes;
        opened<Lmdb>(dir / "q");
        CHECK(FailingSystem::directory_flushes > first);
    }
    CHECK(failed_flush);
}

TEST_CASE("lmdb::Storage::open with space for half of a new file leaves an empty one",
          "[adapter][lmdb_storage][regression]") {
    const TemporaryDirectory dir;
    // The limit includes the lock file, which needs space, too, and is created first.
    fill<Lmdb>(dir / "q", 1);
    REQUIRE(::unlink((dir / "q").c_str()) == 0);
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{4096, RLIM_INFINITY};
        return ::setrlimit(RLIMIT_FSIZE, &limit) == 0 && !lmdb::Storage::open(dir / "q");
    }));
    CHECK(bytes_of(dir / "q").empty());
    CHECK(opened<Lmdb>(dir / "q").size() == 0);
}

TEST_CASE("lmdb::Storage::open detects missing operations", "[adapter][lmdb_storage][fault]") {
    const TemporaryDirectory dir;
    fill<Lmdb>(dir / "q", 10);
    as_another_program(dir / "q", [](MDB_txn* txn, MDB_dbi table) {
        const std::string name = key_of(5);
        MDB_val key = as_value(name);
        REQUIRE(mdb_del(txn, table, &key, nullptr) == 0);
    });
    const lmdb::Error error = refused<Lmdb>(dir / "q");
    CHECK(error.code == QueueErrc::corrupt);
    CHECK(error.message().find("from a backup") != std::string::npos);
    fill<Lmdb>(dir / "r", 1);
    as_another_program(dir / "r", [](MDB_txn* txn, MDB_dbi table) { put(txn, table, "a", "b"); });
    CHECK(refused<Lmdb>(dir / "r").code == QueueErrc::corrupt);
}

TEST_CASE("lmdb::Storage detects an operation that differs from the pushed one",
          "[adapter][lmdb_storage][fault]") {
    const TemporaryDirectory dir;
    fill<Lmdb>(dir / "q", 4);
    std::string third;
    as_another_program(dir / "q", [&](MDB_txn* txn, MDB_dbi table) {
        const std::string name = key_of(3);
        MDB_val key = as_value(name);
        MDB_val value;
        REQUIRE(mdb_get(txn, table, &key, &value) == 0);
        third.assign(static_cast<const char*>(value.mv_data), value.mv_size);
        // A whole operation in the place of another one, and one without a checksum.
        put(txn, table, key_of(2), third);
        put(txn, table, key_of(3), "abc");
    });
    lmdb::Storage storage = opened<Lmdb>(dir / "q");
    CHECK(as_text(*storage.try_pop()) == text_for(1));
    for (int i = 0; i < 2; ++i) {
        CHECK(storage.front().error() == QueueErrc::corrupt);
        CHECK_FALSE(storage.try_pop());
        CHECK_FALSE(storage.ack());  // removed without being read
    }
    CHECK(as_text(*storage.front()) == text_for(4));
    CHECK(storage.size() == 1);
}

TEST_CASE(
    "lmdb::Storage with a flipped bit, or cut short, returns only operations that were pushed",
    "[adapter][lmdb_storage][fault]") {
    const TemporaryDirectory dir;
    constexpr std::uint64_t count = 12;
    constexpr auto body = [](std::uint64_t n) {
        return std::string(5000, static_cast<char>('a' + n));
    };
    {
        lmdb::Storage storage = opened<Lmdb>(dir / "q");
        for (std::uint64_t n = 1; n <= count; ++n) {
            REQUIRE_FALSE(storage.try_push(as_bytes(body(n))));
        }
    }
    const std::string whole = bytes_of(dir / "q");
    CHECK_FALSE(notices<Lmdb>(whole, body));
    for (std::uint64_t n = 1; n <= count; ++n) {
        std::string damaged = whole;
        const std::size_t at = damaged.find(body(n));
        REQUIRE(at != std::string::npos);
        damaged[at + n * 400] = static_cast<char>(damaged[at + n * 400] ^ (1 << n % 8));
        INFO("operation " << n);
        CHECK(notices<Lmdb>(damaged, body));
    }
    // The two pages at the beginning of the file store the amount of data. One of them alone means
    // empty.
    belay_test::check_cut_short<Lmdb>(whole, whole.size() - 4096, body);
}

TEST_CASE("lmdb::Storage: a failed write or flush loses no operation, and confirms none",
          "[adapter][lmdb_storage][fault]") {
    int broken = 0;
    for (const int failure : {EIO, ENOSPC}) {
        INFO("errno " << failure);
        FailingSystem::error = failure;
        broken += belay_test::check_failing_changes<Lmdb>(
            [&](lmdb::Storage&, const std::error_code& error) {
                REQUIRE(error.value() == failure);
            });
    }
    // The last write of each commit, which makes it valid, cannot be revoked.
    CHECK(broken >= 6);
}

TEST_CASE("lmdb::Storage::try_pop loses no value when the disk fails at any place",
          "[adapter][lmdb_storage][regression]") {
    FailingSystem::error = EIO;
    int broken = 0;
    for (const bool for_good : {false, true}) {
        INFO("for good: " << for_good);
        FailingSystem::for_good = for_good;
        broken += belay_test::check_failing_pops<Lmdb>();
    }
    CHECK(broken >= 8);
}

TEST_CASE("lmdb::Storage::commit does not retry a failed commit",
          "[adapter][lmdb_storage][fault]") {
    const FailingSystem system;
    const TemporaryDirectory dir;
    lmdb::Storage storage = opened<Lmdb>(dir / "q");
    REQUIRE_FALSE(storage.try_push(as_bytes("one")));
    FailingSystem::error = EIO;
    FailingSystem::countdown = 0;
    CHECK(storage.commit() == std::errc::io_error);
    CHECK(storage.failed() == std::errc::io_error);
    CHECK(storage.commit() == storage.failed());
    CHECK(storage.try_push(as_bytes("two")) == storage.failed());
    CHECK(storage.front().error() == storage.failed());
    CHECK_FALSE(storage.try_pop());
}

TEST_CASE("lmdb::Storage continues when there is no address space for a larger map",
          "[adapter][lmdb_storage][regression]") {
    const TemporaryDirectory dir;
    const lmdb::Options options{.flush = lmdb::Flush::none, .record_bytes_max = 2'000'000};
    CHECK(in_child([&] {
        auto storage = lmdb::Storage::open(dir / "q", options);
        if (!storage || storage->try_push(as_bytes("first"))) return false;
        const Bytes large(2'000'000);
        // This allows the memory that the process has now, and less than the larger map.
        std::size_t pages = 0;
        std::ifstream{"/proc/self/statm"} >> pages;
        const rlimit limit{pages * static_cast<std::size_t>(::getpagesize()), RLIM_INFINITY};
        if (::setrlimit(RLIMIT_AS, &limit) != 0) return false;
        if (storage->try_push(large) != std::errc::not_enough_memory) return false;
        if (storage->failed() || storage->size() != 1) return false;
        if (as_text(*storage->front()) != "first" || storage->ack()) return false;
        const rlimit none{RLIM_INFINITY, RLIM_INFINITY};
        return ::setrlimit(RLIMIT_AS, &none) == 0 && !storage->try_push(large);
    }));
    CHECK(opened<Lmdb>(dir / "q", options).size() == 1);
}
