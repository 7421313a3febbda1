// SPDX-License-Identifier: MIT
// Goal: in its directory a journal follows no link, and opens only regular files; the path to
// the directory may have links. Method: links, pipes and directories planted in it.
#include <belay/journal/journal_inspect.hpp>
#include <belay/posix/journal.hpp>

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "support/catch.hpp"
#include "support/journal/small_files.hpp"
#include "support/temporary_directory.hpp"
#include "support/text_for.hpp"

using namespace belay;
using belay_test::files_of_4k;
using belay_test::TemporaryDirectory;
using belay_test::text_for;

namespace {

constexpr const char* precious = "of somebody else";

/// A file that is the target of a link.
std::string make_target(const TemporaryDirectory& dir) {
    std::ofstream{dir / "target"} << precious;
    return dir / "target";
}
std::string text_of(const std::string& path) {
    std::ifstream in{path, std::ios::binary};
    return {std::istreambuf_iterator<char>{in}, {}};
}

void append_some(posix::Journal& journal, int count) {
    for (int i = 0; i < count; ++i) {
        REQUIRE(journal.append(as_bytes(text_for(journal.last() + 1))));
        REQUIRE_FALSE(journal.commit());
    }
}

}  // namespace

TEST_CASE("Journal does not write to the target of a link at segment.tmp",
          "[posix][journal][regression]") {
    const TemporaryDirectory dir;
    const std::string target = make_target(dir);
    const std::string planted = dir / "q/segment.tmp";
    std::filesystem::create_directory(dir / "q");
    std::filesystem::create_symlink(target, planted);
    {
        auto journal = posix::Journal::open(dir / "q", files_of_4k);
        REQUIRE(journal);
        CHECK(text_of(target) == precious);
        for (int i = 0; i < 5; ++i) {
            std::filesystem::remove(planted);
            std::filesystem::create_symlink(target, planted);
            append_some(*journal, 40);
        }
        CHECK(text_of(target) == precious);
    }
    for (const auto& entry : std::filesystem::directory_iterator{dir / "q"}) {
        CHECK((entry.path() == planted || entry.is_regular_file()));
        CHECK((entry.path() == planted || !entry.is_symlink()));
    }
    auto journal = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE(journal);
    CHECK(journal->last() == 200);
    CHECK_FALSE(std::filesystem::exists(std::filesystem::symlink_status(planted)));
}

TEST_CASE("Journal::open rejects links, pipes and directories in the place of its files",
          "[posix][journal][regression]") {
    const TemporaryDirectory dir;
    {
        auto journal = posix::Journal::open(dir / "q", files_of_4k);
        REQUIRE(journal);
        append_some(*journal, 100);
    }
    const std::string name = GENERATE(std::string{"lock"}, journal_format::segment_name(1),
                                      journal_format::segment_name(2));
    const std::string path = dir / ("q/" + name);
    std::filesystem::rename(path, dir / "moved");
    const std::string bytes = text_of(dir / "moved");
    posix::Files files;
    const auto look = [&] {
        return tool::inspect_journal(files, dir / "q", [](std::uint64_t, BytesView) {});
    };

    std::filesystem::create_symlink(dir / "moved", path);
    const auto link = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE_FALSE(link);
    CHECK(link.error().where == path);
    CHECK(link.error().message().find("does not follow a link") != std::string::npos);
    if (name != "lock") CHECK_FALSE(look()->is_whole());
    std::filesystem::remove(path);

    REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    const auto pipe = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE_FALSE(pipe);
    CHECK(pipe.error().code == QueueErrc::foreign_file);
    CHECK(pipe.error().where == path);
    CHECK(pipe.error().message().find("move the file out of the directory") != std::string::npos);
    if (name != "lock") CHECK_FALSE(look()->is_whole());
    std::filesystem::remove(path);

    std::filesystem::create_directory(path);
    const auto directory = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE_FALSE(directory);
    CHECK(directory.error().code == std::errc::is_a_directory);
    CHECK(directory.error().where == path);
    if (name != "lock") CHECK_FALSE(look()->is_whole());
    std::filesystem::remove(path);

    CHECK(text_of(dir / "moved") == bytes);
    std::filesystem::rename(dir / "moved", path);
    const auto journal = posix::Journal::open(dir / "q", files_of_4k);
    REQUIRE(journal);
    CHECK(journal->last() == 100);
}

TEST_CASE("Journal can be opened by a path with links", "[posix][journal][unit]") {
    const TemporaryDirectory dir;
    std::filesystem::create_directory(dir / "real");
    std::filesystem::create_directory_symlink(dir / "real", dir / "way");
    std::filesystem::create_directory(dir / "real/q");
    std::filesystem::create_directory_symlink(dir / "real/q", dir / "last");
    for (const char* const path : {"way/q", "last", "real/q"}) {
        auto journal = posix::Journal::open(dir / path, files_of_4k);
        REQUIRE(journal);
        append_some(*journal, 100);
        CHECK_FALSE(journal->ack(journal->last() - 10));
    }
    // A link to another place counts as replacing the directory.
    auto journal = posix::Journal::open(dir / "last", files_of_4k);
    REQUIRE(journal);
    CHECK(journal->last() == 300);
    std::filesystem::copy(dir / "real/q", dir / "copy");
    std::filesystem::remove(dir / "last");
    std::filesystem::create_directory_symlink(dir / "copy", dir / "last");
    REQUIRE(journal->append(as_bytes(text_for(301))));
    CHECK(journal->commit() == QueueErrc::displaced);
}
