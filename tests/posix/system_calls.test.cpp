// SPDX-License-Identifier: MIT
// Goal: a journal on real files keeps its guarantees for every result of a system call. Method: the
// linker replaces the calls that read, write and name files by the functions below (--wrap, see
// tests/CMakeLists.txt). Each of them, in a workload, fails once, is interrupted, or does a part of
// its work, and reserving space is not supported. Calls that change names may also take effect
// before they are interrupted or repeated.
#include <belay/posix/journal.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdarg>
#include <string>
#include <utility>

#include <belay/posix/journal_rooms.hpp>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using namespace belay_test;

namespace {

/// The results of the next calls. One test at a time, one thread.
struct Plan {
    bool armed = false;
    bool interrupt = false;  // interrupts every call once, before it is made
    bool too_late = false;   // the same, after a call that changes a name has taken effect
    bool repeat = false;     // a call that changes a name is made twice, as by a network
    bool in_pieces = false;  // reads and writes do a part of the requested work
    int number = 0;          // the call with this number, from 1, fails with `error`
    int error = 0;
    int reserve_error = 0;  // the error of every fallocate, if not 0
    int calls = 0;
    int failed = 0;
    int not_reserved = 0;  // calls of fallocate that failed with `reserve_error`
    std::uint64_t bytes_written = 0;
    bool interrupted = false;
    bool is_next_open_good = false;  // for the calls that make a file
};
Plan plan;

/// Whether a call must fail now; errno has the error.
bool fails() {
    if (!plan.armed) return false;
    if (plan.interrupt && !plan.interrupted) {
        plan.interrupted = true;
        errno = EINTR;
        return true;
    }
    plan.interrupted = false;
    if (++plan.calls != plan.number) return false;
    ++plan.failed;
    errno = plan.error;
    return true;
}
/// Makes a call that changes a name.
template <class Call>
int change_name(Call&& call) {
    const bool is_early = plan.interrupt && !plan.too_late;
    if (is_early || !plan.armed) return fails() ? -1 : call();
    if (plan.repeat) static_cast<void>(call());
    if (plan.too_late && !plan.interrupted) static_cast<void>(call());
    return fails() ? -1 : call();
}
/// Whether space cannot be reserved at all.
bool reserving_fails() {
    if (!plan.armed || plan.reserve_error == 0) return false;
    ++plan.not_reserved;
    errno = plan.reserve_error;
    return true;
}
std::size_t piece(std::size_t bytes) {
    return plan.armed && plan.in_pieces && bytes > 1 ? 1 + bytes / 3 : bytes;
}

}  // namespace

// The names that the linker uses.
extern "C" {
ssize_t __real_pwrite(int, const void*, size_t, off_t);
ssize_t __wrap_pwrite(int file, const void* from, size_t bytes, off_t at) {
    const ssize_t written = fails() ? -1 : __real_pwrite(file, from, piece(bytes), at);
    if (plan.armed && written > 0) plan.bytes_written += static_cast<std::uint64_t>(written);
    return written;
}
ssize_t __real_pread(int, void*, size_t, off_t);
ssize_t __wrap_pread(int file, void* into, size_t bytes, off_t at) {
    return fails() ? -1 : __real_pread(file, into, piece(bytes), at);
}
int __real_fdatasync(int);
int __wrap_fdatasync(int file) { return fails() ? -1 : __real_fdatasync(file); }
int __real_fsync(int);
int __wrap_fsync(int file) { return fails() ? -1 : __real_fsync(file); }
int __real_fallocate(int, int, off_t, off_t);
int __wrap_fallocate(int file, int mode, off_t at, off_t bytes) {
    return fails() || reserving_fails() ? -1 : __real_fallocate(file, mode, at, bytes);
}
int __real_rename(const char*, const char*);
int __wrap_rename(const char* from, const char* to) {
    return change_name([&] { return __real_rename(from, to); });
}
int __real_unlink(const char*);
int __wrap_unlink(const char* path) {
    return change_name([&] { return __real_unlink(path); });
}
int __real_mkdir(const char*, mode_t);
int __wrap_mkdir(const char* path, mode_t mode) {
    return change_name([&] { return __real_mkdir(path, mode); });
}
DIR* __real_opendir(const char*);
DIR* __wrap_opendir(const char* path) { return fails() ? nullptr : __real_opendir(path); }
struct dirent* __real_readdir(DIR*);
struct dirent* __wrap_readdir(DIR* directory) {
    return fails() ? nullptr : __real_readdir(directory);
}
int __real_stat(const char*, struct stat*);
int __wrap_stat(const char* path, struct stat* status) {
    return fails() ? -1 : __real_stat(path, status);
}
int __real_statx(int, const char*, int, unsigned, struct statx*);
int __wrap_statx(int at, const char* path, int flags, unsigned mask, struct statx* status) {
    return plan.interrupt && fails() ? -1 : __real_statx(at, path, flags, mask, status);
}
int __real_fstat(int, struct stat*);
int __wrap_fstat(int file, struct stat* status) {
    return fails() ? -1 : __real_fstat(file, status);
}
int __real_open(const char*, int, ...);
int __wrap_open(const char* path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    const mode_t mode = (flags & O_CREAT) != 0 ? va_arg(more, mode_t) : 0;
    va_end(more);
    const bool makes = (flags & O_EXCL) != 0;
    const auto call = [&] { return __real_open(path, flags, mode); };
    if (makes && !std::exchange(plan.is_next_open_good, makes)) {
        int first = -1;  // no file has this descriptor
        const int second = change_name([&] { return first == -1 ? first = call() : call(); });
        if (second == -1 && first != -1) ::close(first);
        return second;
    }
    const int descriptor = fails() ? -1 : call();
    if (makes && descriptor != -1) plan.is_next_open_good = false;
    return descriptor;
}
}

namespace {

const JournalOptions small_and_seeded{
    .segment_bytes = 4096, .record_bytes_max = 512, .seed = Seed{1}};

Bytes body_of(std::uint64_t number) {
    return Bytes(static_cast<std::size_t>(number * 37 % 150), static_cast<std::byte>(number));
}

/// The results of the journal.
struct WorkloadResult {
    std::uint64_t taken = 0;
    std::uint64_t durable = 0;
    std::uint64_t acked = 0;  // at most
    std::error_code error;    // the first
    bool silent = false;      // a call succeeded after a failure of a flush
};

/// Appends, syncs, starts segments, acknowledges, deletes a segment, and opens again in the middle.
WorkloadResult work(const std::string& path) {
    WorkloadResult reported;
    for (int part = 0; part < 2; ++part) {
        auto journal = posix::Journal::open(path, small_and_seeded);
        if (!journal) {
            reported.error = journal.error().code;
            return reported;
        }
        for (int i = 0; i < 24; ++i) {
            const auto number = journal->append(body_of(journal->last() + 1));
            std::error_code error = number.error();
            if (number) reported.taken = *number;
            if (!error && i % 4 == 3) {
                error = journal->commit();
                if (!error) reported.durable = reported.taken;
            }
            if (!error && i == 20) {
                reported.acked = reported.taken / 2;
                error = journal->ack(reported.acked);
            }
            if (error && !reported.error) reported.error = error;
            if (!error && reported.error && journal->failed()) reported.silent = true;
        }
        // Without space a sync may be repeated. After any other failure it must not succeed.
        const std::error_code last = journal->commit();
        if (!last && journal->failed()) reported.silent = true;
        if (!last) reported.durable = reported.taken;
    }
    return reported;
}

/// Opens the journal without faults; returns whether all confirmed operations are there.
bool kept(const std::string& path, const WorkloadResult& reported) {
    auto journal = posix::Journal::open(path, small_and_seeded);
    if (!journal) return false;
    if (journal->last() < reported.durable || journal->last() > reported.taken) return false;
    if (journal->base() - 1 > reported.acked) return false;
    for (std::uint64_t n = journal->base(); n <= journal->last(); ++n) {
        const auto body = journal->read(n);
        const Bytes expected = body_of(n);
        if (!body || !std::equal(body->begin(), body->end(), expected.begin(), expected.end())) {
            return false;
        }
    }
    const auto next = journal->append(body_of(journal->last() + 1));
    return next && !journal->commit();
}

int calls_of_the_workload() {
    const TemporaryDirectory dir;
    plan = {.armed = true};
    const WorkloadResult reported = work(dir / "q");
    plan.armed = false;
    REQUIRE_FALSE(reported.error);
    REQUIRE(reported.durable == 48);
    REQUIRE(kept(dir / "q", reported));
    return plan.calls;
}

}  // namespace

TEST_CASE("Journal on files handles interrupted and partial system calls",
          "[posix][system_calls][fault]") {
    const TemporaryDirectory dir;
    plan = {.armed = true, .interrupt = true, .in_pieces = true};
    const WorkloadResult reported = work(dir / "q");
    const int calls = plan.calls;
    plan.armed = false;
    CHECK_FALSE(reported.error);
    CHECK(reported.durable == 48);
    CHECK(kept(dir / "q", reported));
    // Partial results lead to more calls: with no wrapping there would be none.
    CHECK(calls > calls_of_the_workload());
}

TEST_CASE("Journal on files opens, rolls and deletes although calls that change names are repeated",
          "[posix][system_calls][fault]") {
    const bool by_signal = GENERATE(false, true);
    INFO("repeated after a signal: " << by_signal);
    const TemporaryDirectory dir;
    plan = {.armed = true, .interrupt = by_signal, .too_late = by_signal, .repeat = !by_signal};
    const WorkloadResult reported = work(dir / "q");
    plan.armed = false;
    CHECK_FALSE(reported.error);
    CHECK(reported.durable == 48);
    CHECK(kept(dir / "q", reported));
}

TEST_CASE("Journal::open removes the file of a roll although the network repeats the call",
          "[posix][system_calls][fault]") {
    const TemporaryDirectory dir;
    posix::Files files;
    const std::string path = dir / "q";
    const auto segment = [&](std::uint64_t i) {
        return path + '/' + journal_format::segment_name(i);
    };
    std::uint64_t last = 0;
    {
        auto journal = posix::Journal::open(path, small_and_seeded);
        REQUIRE(journal);
        while (!files.identity(segment(2))) REQUIRE(journal->append(body_of(++last)));
        REQUIRE_FALSE(journal->commit());
    }
    // A crash: the new file has no record yet, and the end of the previous one is lost.
    const Bytes zeros(small_and_seeded.segment_bytes);
    const std::uint64_t header = journal_format::segment_header_bytes;
    auto second = files.open(segment(2), OpenMode::write);
    REQUIRE(second);
    REQUIRE_FALSE(second->write(header, BytesView{zeros}.subspan(header)));
    auto first = files.open(segment(1), OpenMode::write);
    REQUIRE(first);
    REQUIRE_FALSE(first->write(2048, BytesView{zeros}.subspan(2048)));
    plan = {.armed = true, .repeat = true};
    auto journal = posix::Journal::open(path, small_and_seeded);
    plan = {};
    REQUIRE(journal);
    CHECK_FALSE(files.identity(segment(2)));
    CHECK(journal->last() > 0);
    CHECK(journal->last() < last);
    CHECK(journal->append(body_of(1)));
}

TEST_CASE("posix::JournalRooms opens next to an unfinished file when the network repeats the call",
          "[posix][system_calls][fault]") {
    const TemporaryDirectory dir;
    const std::string path = dir / "rooms";
    posix::Files files;
    const auto open = [&] {
        auto log = posix::Journal::open(dir / "log", small_and_seeded);
        REQUIRE(log);
        return static_cast<bool>(posix::JournalRooms::open(path, std::move(*log)));
    };
    REQUIRE(open());
    REQUIRE(files.open(path + "/61.unfinished", OpenMode::replace));
    plan = {.armed = true, .repeat = true};
    const bool opened = open();
    plan = {};
    CHECK(opened);
    CHECK_FALSE(files.identity(path + "/61.unfinished"));
}

TEST_CASE("posix::Files repeats interrupted calls that name files",
          "[posix][system_calls][fault]") {
    const bool too_late = GENERATE(false, true);
    INFO("interrupted after it took effect: " << too_late);
    const TemporaryDirectory dir;
    posix::Files files;
    plan = {.armed = true, .interrupt = true, .too_late = too_late};
    const std::error_code created = files.create_directory(dir / "d");
    const bool opened = static_cast<bool>(files.open(dir / "d/a", OpenMode::replace));
    const bool replaced = static_cast<bool>(files.open(dir / "d/a", OpenMode::replace));
    const std::error_code renamed = files.rename(dir / "d/a", dir / "d/b");
    const auto names = files.list(dir / "d");
    const bool known = static_cast<bool>(files.identity(dir / "d/b"));
    const std::error_code removed = files.remove(dir / "d/b");
    const std::error_code missing = files.rename(dir / "d/none", dir / "d/b");
    const std::error_code created_again = files.create_directory(dir / "d");
    plan = {};
    CHECK_FALSE(created);
    CHECK(opened);
    CHECK(replaced);
    CHECK_FALSE(renamed);
    CHECK(known);
    CHECK_FALSE(removed);
    CHECK(missing == std::errc::no_such_file_or_directory);
    CHECK_FALSE(created_again);
    REQUIRE(names);
    CHECK(std::count(names->begin(), names->end(), "b") == 1);
}

TEST_CASE("posix::Files::remove succeeds although the network repeats the call",
          "[posix][system_calls][fault]") {
    const TemporaryDirectory dir;
    posix::Files files;
    REQUIRE(files.open(dir / "a", OpenMode::replace));
    plan = {.armed = true, .repeat = true};
    const std::error_code removed = files.remove(dir / "a");
    const std::error_code missing = files.remove(dir / "a");
    plan = {};
    CHECK_FALSE(removed);
    CHECK(missing == std::errc::no_such_file_or_directory);
}

TEST_CASE("posix::Files::sync_directory syncs the file system if it cannot sync a directory",
          "[posix][system_calls][fault]") {
    const TemporaryDirectory dir;
    posix::Files files;
    const auto result_of = [&](int error) {
        // The second call is the fsync.
        plan = {.armed = true, .number = 2, .error = error};
        const std::error_code result = files.sync_directory(dir / ".");
        CHECK(std::exchange(plan, Plan{}).failed == 1);
        return result;
    };
    CHECK(result_of(EIO) == std::error_code{EIO, std::generic_category()});
#if defined(__linux__)
    CHECK_FALSE(result_of(EINVAL));
#endif
}

TEST_CASE("Journal on files loses no operation if any single system call fails",
          "[posix][system_calls][fault]") {
    const int calls = calls_of_the_workload();
    CHECK(calls > 40);
    for (const int error : {EIO, ENOSPC}) {
        for (int number = 1; number <= calls; ++number) {
            const TemporaryDirectory dir;
            plan = {.armed = true, .number = number, .error = error};
            const WorkloadResult reported = work(dir / "q");
            const int failed = plan.failed;
            plan.armed = false;
            INFO("call " << number << " of " << calls << " fails with " << error);
            REQUIRE(failed == 1);
            REQUIRE_FALSE(reported.silent);
            REQUIRE(kept(dir / "q", reported));
        }
    }
}

TEST_CASE("posix::File::preallocate writes zeros where the file system cannot reserve",
          "[posix][system_calls][fault]") {
    const int error = GENERATE(EOPNOTSUPP, ENOSYS, EINTR, EPERM);
    const bool in_pieces = GENERATE(false, true);
    // Shorter than one write, equal, and longer by a part.
    const std::uint64_t size = GENERATE(1U, 16U * 1024, 100'000U);
    INFO("fallocate fails with " << error << ", for " << size << " bytes");
    const TemporaryDirectory dir;
    posix::Files files;
    auto file = files.open(dir / "a", OpenMode::replace);
    REQUIRE(file);
    plan = {.armed = true, .in_pieces = in_pieces, .reserve_error = error};
    const std::error_code answer = file->preallocate(size);
    const Plan done = std::exchange(plan, Plan{});
    CHECK_FALSE(answer);
    CHECK(done.not_reserved == 1);
    // The zeros are written: a length without them would reserve no space.
    CHECK(done.bytes_written == size);
    CHECK(*file->size() == size);
    Bytes bytes(size + 1, std::byte{1});
    REQUIRE(*file->read(0, bytes) == size);
    CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) ==
          static_cast<std::ptrdiff_t>(size));
}

TEST_CASE("posix::File::preallocate returns any other failure, and writes no byte",
          "[posix][system_calls][fault]") {
    const int error = GENERATE(ENOSPC, EIO, EFBIG);
    const TemporaryDirectory dir;
    posix::Files files;
    auto file = files.open(dir / "a", OpenMode::replace);
    REQUIRE(file);
    plan = {.armed = true, .reserve_error = error};
    const std::error_code answer = file->preallocate(100'000);
    const Plan done = std::exchange(plan, Plan{});
    CHECK(answer == std::error_code{error, std::generic_category()});
    CHECK(done.not_reserved == 1);
    CHECK(done.bytes_written == 0);
    CHECK(*file->size() == 0);
}

TEST_CASE("Journal on files that cannot be reserved works as on others",
          "[posix][system_calls][fault]") {
    const int error = GENERATE(EOPNOTSUPP, ENOSYS, EINTR);
    const TemporaryDirectory dir;
    plan = {.armed = true, .reserve_error = error};
    const WorkloadResult reported = work(dir / "q");
    const Plan done = std::exchange(plan, Plan{});
    INFO("fallocate fails with " << error);
    CHECK_FALSE(reported.error);
    CHECK(reported.durable == 48);
    CHECK(done.not_reserved > 1);
    posix::Files files;
    int segments = 0;
    const auto names = files.list(dir / "q");
    REQUIRE(names);
    for (const std::string& name : *names) {
        if (journal_format::segment_index(name) == 0) continue;
        ++segments;
        CHECK(*files.open(dir / ("q/" + name), OpenMode::read)->size() ==
              small_and_seeded.segment_bytes);
    }
    CHECK(segments > 0);
    CHECK(kept(dir / "q", reported));
}
