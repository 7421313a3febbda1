// SPDX-License-Identifier: MIT
// Goal: posix::Files meets FileSystemLike. Method: real files in a temporary directory.
#include <belay/posix/files.hpp>

#include <sys/resource.h>
#include <sys/wait.h>

#include <csignal>

#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using namespace belay;
using belay_test::can_drop_privileges;
using belay_test::in_child;
using belay_test::in_child_without_privileges;
using belay_test::TemporaryDirectory;

static_assert(explain::file_system_like<posix::Files>());
static_assert(std::is_empty_v<posix::Files>);
static_assert(belay::detail::GivesWay<posix::Files>);

TEST_CASE("posix::Files reads the written bytes, short only at the end", "[posix][files][unit]") {
    const TemporaryDirectory dir;
    posix::Files files;
    auto file = files.open(dir / "a", OpenMode::replace);
    REQUIRE(file);
    CHECK_FALSE(file->write(3, as_bytes("hello")));
    CHECK_FALSE(file->sync());
    CHECK(*file->size() == 8);
    std::byte into[16];
    CHECK(*file->read(5, into) == 3);
    CHECK(as_text({into, 3}) == "llo");
    CHECK(*file->read(100, into) == 0);
    auto again = files.open(dir / "a", OpenMode::read);
    REQUIRE(again);
    CHECK(again->write(0, as_bytes("x")));
    CHECK(*files.open(dir / "a", OpenMode::replace)->size() == 0);
    CHECK(files.open(dir / "none", OpenMode::write).error() ==
          std::errc::no_such_file_or_directory);
}

TEST_CASE("posix::Files uses no part of a path with a null", "[posix][files][fault]") {
    const TemporaryDirectory dir;
    const posix::Files files;
    const std::string kept = dir / "kept";
    REQUIRE(files.open(kept, OpenMode::replace));
    REQUIRE_FALSE(files.create_directory(dir / "directory"));
    const std::string path = kept + std::string{"\0x", 2};
    const auto invalid = std::errc::invalid_argument;
    for (const OpenMode mode : {OpenMode::read, OpenMode::write, OpenMode::replace}) {
        CHECK(files.open(path, mode).error() == invalid);
    }
    CHECK(files.lock(path).error() == invalid);
    CHECK(files.identity(path).error() == invalid);
    CHECK(files.rename(path, dir / "other") == invalid);
    CHECK(files.rename(kept, path) == invalid);
    CHECK(files.remove(path) == invalid);
    const std::string directory = (dir / "directory") + std::string{"\0x", 2};
    CHECK(files.create_directory(directory) == invalid);
    CHECK(files.sync_directory(directory) == invalid);
    CHECK(files.list(directory).error() == invalid);
    CHECK(files.identity(kept));
}

TEST_CASE("posix::File::preallocate reserves zeros", "[posix][files][unit]") {
    const TemporaryDirectory dir;
    posix::Files files;
    auto file = files.open(dir / "a", OpenMode::replace);
    REQUIRE(file);
    CHECK_FALSE(file->preallocate(100'000));
    CHECK(*file->size() == 100'000);
    Bytes bytes(100'000, std::byte{1});
    CHECK(*file->read(0, bytes) == 100'000);
    CHECK(std::count(bytes.begin(), bytes.end(), std::byte{0}) == 100'000);
}

TEST_CASE("posix::Files::now advances while other threads run", "[posix][files][unit]") {
    posix::Files files;
    const Instant begin = files.now();
    while (files.now() == begin) files.yield();
    CHECK(files.now() > begin);
}

TEST_CASE("posix::Files names, lists and removes", "[posix][files][unit]") {
    const TemporaryDirectory dir;
    posix::Files files;
    CHECK_FALSE(files.create_directory(dir / "d"));
    CHECK_FALSE(files.create_directory(dir / "d"));
    CHECK(files.create_directory(dir / "none/d") == std::errc::no_such_file_or_directory);
    CHECK(files.open(dir / "d/a", OpenMode::replace));
    CHECK(files.open(dir / "d/b", OpenMode::replace));
    CHECK_FALSE(files.rename(dir / "d/a", dir / "d/b"));
    CHECK_FALSE(files.sync_directory(dir / "d"));
    std::vector<std::string> names = *files.list(dir / "d");
    std::erase_if(names, [](const std::string& n) { return n == "." || n == ".."; });
    CHECK(names == std::vector<std::string>{"b"});
    CHECK_FALSE(files.remove(dir / "d/b"));
    CHECK(files.remove(dir / "d/b") == std::errc::no_such_file_or_directory);
    CHECK(files.list(dir / "none").error() == std::errc::no_such_file_or_directory);
    CHECK(files.create_directory("/dev/null") == std::errc::file_exists);
}

TEST_CASE("posix::Files::lock holds against this process and others, and ends with its holder",
          "[posix][files][unit]") {
    const TemporaryDirectory dir;
    posix::Files files;
    {
        const auto first = files.lock(dir / "lock");
        REQUIRE(first);
        CHECK(files.lock(dir / "lock").error() == QueueErrc::already_locked);
        CHECK(in_child(
            [&] { return files.lock(dir / "lock").error() == QueueErrc::already_locked; }));
    }
    int ready[2];
    REQUIRE(::pipe(ready) == 0);
    const pid_t child = ::fork();
    if (child == 0) {
        const auto held = files.lock(dir / "lock");
        const char byte = held ? 'y' : 'n';
        static_cast<void>(!::write(ready[1], &byte, 1));
        for (;;) ::pause();
    }
    char byte = 0;
    REQUIRE(::read(ready[0], &byte, 1) == 1);
    CHECK(byte == 'y');
    CHECK(files.lock(dir / "lock").error() == QueueErrc::already_locked);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    CHECK(files.lock(dir / "lock"));
    ::close(ready[0]);
    ::close(ready[1]);
}

TEST_CASE("posix::File::lock holds until the file is closed", "[posix][files][unit]") {
    const TemporaryDirectory dir;
    posix::Files files;
    auto first = files.open(dir / "a", OpenMode::replace);
    auto second = files.open(dir / "a", OpenMode::write);
    REQUIRE(first);
    REQUIRE(second);
    CHECK_FALSE(first->lock());
    CHECK_FALSE(first->lock());
    CHECK(second->lock() == QueueErrc::already_locked);
    CHECK(in_child([&] {
        return files.open(dir / "a", OpenMode::write)->lock() == QueueErrc::already_locked;
    }));
    { const auto closed = std::move(*first); }
    CHECK_FALSE(second->lock());
}

TEST_CASE("posix::Files distinguishes a file from its copy, and from the target of a link",
          "[posix][files][unit]") {
    const TemporaryDirectory dir;
    posix::Files files;
    auto file = files.open(dir / "a", OpenMode::replace);
    REQUIRE(file);
    const auto identity = *file->identity();
    CHECK(*files.identity(dir / "a") == identity);
    CHECK_FALSE(files.rename(dir / "a", dir / "b"));
    CHECK(*files.identity(dir / "b") == identity);
    CHECK(files.identity(dir / "a").error() == std::errc::no_such_file_or_directory);
    std::filesystem::copy(dir / "b", dir / "copy");
    CHECK(*files.identity(dir / "copy") != identity);
    std::filesystem::create_symlink(dir / "b", dir / "link");
    CHECK(*files.identity(dir / "link") != identity);
    CHECK(files.open(dir / "link", OpenMode::write).error() ==
          std::errc::too_many_symbolic_link_levels);
    // Replacing makes another file, also in the place of a link.
    const auto other = files.open(dir / "link", OpenMode::replace);
    REQUIRE(other);
    CHECK(*files.identity(dir / "link") == *other->identity());
    CHECK_FALSE(files.open(dir / "b", OpenMode::replace)->write(0, as_bytes("new")));
    CHECK(*file->size() == 0);
}

TEST_CASE("posix::Files does not leak descriptors to programs that are started",
          "[posix][files][unit]") {
    const TemporaryDirectory dir;
    posix::Files files;
    const auto lock = files.lock(dir / "lock");
    REQUIRE(lock);
    CHECK((::fcntl(lock->get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("posix::File::write reports a limit of file sizes", "[posix][files][fault]") {
    const TemporaryDirectory dir;
    CHECK(in_child([&] {
        std::signal(SIGXFSZ, SIG_IGN);
        const rlimit limit{1000, 1000};
        if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) return false;
        posix::Files files;
        auto file = files.open(dir / "a", OpenMode::replace);
        if (!file || file->write(0, Bytes(1000))) return false;
        // The first part fits: a short write, and then the error.
        return file->write(500, Bytes(1000)) == std::errc::file_too_large &&
               file->preallocate(5000) == std::errc::file_too_large;
    }));
}

TEST_CASE("posix::Files reports missing permissions", "[posix][files][fault]") {
    const TemporaryDirectory dir;
    REQUIRE(posix::Files{}.open(dir / "kept", OpenMode::replace));
    REQUIRE(::chmod((dir / "kept").c_str(), 0444) == 0);
    REQUIRE(::chmod(dir.path().c_str(), 0555) == 0);
    if (!can_drop_privileges(dir.path())) return;
    CHECK(in_child_without_privileges([&] {
        const posix::Files files;
        const std::errc denied = std::errc::permission_denied;
        return files.open(dir / "a", OpenMode::replace).error() == denied &&
               files.open(dir / "kept", OpenMode::write).error() == denied &&
               files.open(dir / "kept", OpenMode::read).has_value() &&
               files.lock(dir / "lock").error() == denied &&
               files.lock(dir / "kept").error() == denied &&
               files.rename(dir / "kept", dir / "b") == denied &&
               files.remove(dir / "kept") == denied &&
               files.create_directory(dir / "d") == denied && files.list(dir.path());
    }));
    REQUIRE(::chmod(dir.path().c_str(), 0755) == 0);
}
