// SPDX-License-Identifier: MIT
// Goal: the notes of restores in the whiteboard example are durable, or the caller gets an error.
// Method: real files; a limit on their size, a folder in place of the file, a missing folder.
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "../../examples/whiteboard/restore_notes.hpp"
#include "support/catch.hpp"
#include "support/temporary_directory.hpp"

using belay_test::TemporaryDirectory;

namespace {

/// During its lifetime, the process can write no file beyond a size.
class FileSizeLimit {
public:
    explicit FileSizeLimit(rlim_t bytes) : handler_{std::signal(SIGXFSZ, SIG_IGN)} {
        ::getrlimit(RLIMIT_FSIZE, &before_);
        rlimit limit = before_;
        limit.rlim_cur = bytes;
        ::setrlimit(RLIMIT_FSIZE, &limit);
    }
    FileSizeLimit(const FileSizeLimit&) = delete;
    FileSizeLimit& operator=(const FileSizeLimit&) = delete;
    ~FileSizeLimit() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        std::signal(SIGXFSZ, handler_);
    }

private:
    rlimit before_{};
    void (*handler_)(int);
};

/// The noted boards, each after a space; or the error.
std::string noted(const RestoreNotes& notes) {
    const auto all = notes.all();
    if (!all) return all.error().message();
    std::string boards;
    for (const RestoreNotes::Note& one : *all) boards += " " + one.board;
    return boards;
}

}  // namespace

TEST_CASE("RestoreNotes keeps one note for each board until it is removed",
          "[beast][whiteboard_restores][unit]") {
    const TemporaryDirectory data;
    const RestoreNotes notes{data.path()};
    CHECK(noted(notes).empty());
    CHECK_FALSE(notes.add({"plan", "/a copy"}));
    CHECK_FALSE(notes.add({"demo", "/copy"}));
    CHECK_FALSE(notes.add({"plan", "/another copy"}));
    CHECK(noted(RestoreNotes{data.path()}) == " demo plan");
    CHECK(notes.all()->back().folder == "/another copy");
    CHECK_FALSE(notes.remove("plan"));
    CHECK(noted(notes) == " demo");
}

TEST_CASE("RestoreNotes returns the error of a note that cannot be written or removed",
          "[beast][whiteboard_restores][fault][regression]") {
    const TemporaryDirectory data;
    const RestoreNotes notes{data.path()};
    REQUIRE_FALSE(notes.add({"demo", "/copy"}));
    SECTION("a part of it is written") {
        const FileSizeLimit limit{8};
        CHECK(notes.add({"plan", "/copy"}) == std::errc::no_space_on_device);
    }
    SECTION("nothing of it is written") {
        const FileSizeLimit limit{0};
        CHECK(notes.add({"plan", "/copy"}) == std::errc::file_too_large);
    }
    SECTION("it cannot be removed") {
        std::filesystem::create_directory(data / "restoring.new");
        CHECK(notes.remove("demo") == std::errc::is_a_directory);
    }
    CHECK(noted(notes) == " demo");
}

TEST_CASE("RestoreNotes returns an error for notes that cannot be read, and keeps them",
          "[beast][whiteboard_restores][fault][regression]") {
    const TemporaryDirectory data;
    const RestoreNotes notes{data.path()};
    std::filesystem::create_directory(data / "restoring");
    CHECK(noted(notes) == std::make_error_code(std::errc::is_a_directory).message());
    CHECK(notes.add({"demo", "/copy"}) == std::errc::is_a_directory);
    CHECK(notes.remove("demo") == std::errc::is_a_directory);
    CHECK(std::filesystem::is_directory(data / "restoring"));
}
