// SPDX-License-Identifier: MIT
// Goal: windows::Files meets each rule of FileSystemLike. Method: real files, a second process, and
// handles of other programs; Wine runs it.
#include <belay/windows/files.hpp>

// <windows.h> was included by it, and does not change the code below.
#include <belay/belay.hpp>
#include <belay/journal.hpp>
#include <belay/session.hpp>
#include <belay/work.hpp>

#include <algorithm>
#include <set>
#include <type_traits>

#include "support/windows/child.hpp"

#if defined(min) || defined(max) || defined(WIN32_LEAN_AND_MEAN)
#    error "belay/windows/files.hpp leaks macros"
#endif

using namespace belay;
using namespace belay_test;

static_assert(explain::file_system_like<windows::Files>());
static_assert(std::is_empty_v<windows::Files>);
static_assert(belay::detail::GivesWay<windows::Files>);

namespace {

const windows::Files files;

using Handle = windows::detail::Handle;
using windows::detail::WidePath;

/// A handle of another program.
Handle foreign_handle(const std::string& path, DWORD sharing) {
    const WidePath wide{path};
    return Handle{
        ::CreateFileW(wide.get(), GENERIC_READ, sharing, nullptr, OPEN_EXISTING, 0, nullptr)};
}

void make(const std::string& path, std::string_view text) {
    auto file = files.open(path, OpenMode::replace);
    demand(file.has_value() && !file->write(0, as_bytes(text)));
}
std::string text_of(windows::Files::File& file) {
    std::string text(100, '\0');
    const auto n = file.read(0, std::as_writable_bytes(std::span{text}));
    text.resize(n ? *n : 0);
    return text;
}
std::string text_at(const std::string& path) {
    auto file = files.open(path, OpenMode::read);
    return file ? text_of(*file) : "none";
}
std::set<std::string> names_in(const std::string& path) {
    const auto list = files.list(path);
    demand(list.has_value());
    std::set<std::string> names{list->begin(), list->end()};
    names.erase(".");
    names.erase("..");
    return names;
}

void reads_what_was_written(const WindowsDirectory& dir) {
    auto file = files.open(dir / "a", OpenMode::replace);
    demand(file.has_value());
    expect(!file->write(3, as_bytes("hello")));
    expect(!file->sync());
    expect(*file->size() == 8);
    std::byte into[16];
    expect(*file->read(5, into) == 3);
    expect(as_text({into, 3}) == "llo");
    expect(*file->read(8, into) == 0);
    expect(*file->read(100, into) == 0);
    auto again = files.open(dir / "a", OpenMode::read);
    demand(again.has_value());
    expect(again->write(0, as_bytes("x")) == std::errc::permission_denied);
    expect(*files.open(dir / "a", OpenMode::replace)->size() == 0);
    expect(files.open(dir / "none", OpenMode::write).error() ==
           std::errc::no_such_file_or_directory);
    expect(files.open(dir / "none/a", OpenMode::replace).error() ==
           std::errc::no_such_file_or_directory);
    // More than 4 GiB from the start: offsets have 64 bits.
    auto large = files.open(dir / "large", OpenMode::replace);
    const std::uint64_t far_off = (std::uint64_t{1} << 32U) + 5;
    demand(large.has_value());
    expect(!large->write(far_off, as_bytes("far")) && *large->size() == far_off + 3);
    expect(*large->read(far_off, into) == 3 && as_text({into, 3}) == "far");
    expect(*large->read(5, {into, 1}) == 1 && into[0] == std::byte{0});
    expect(!files.remove(dir / "large"));
}

void preallocates_zeros(const WindowsDirectory& dir) {
    auto file = files.open(dir / "zeros", OpenMode::replace);
    demand(file.has_value());
    expect(!file->preallocate(100'000));
    expect(*file->size() == 100'000);
    Bytes bytes(100'000, std::byte{1});
    expect(*file->read(0, bytes) == 100'000);
    expect(std::count(bytes.begin(), bytes.end(), std::byte{0}) == 100'000);
}

void names_lists_and_removes(const WindowsDirectory& dir) {
    expect(!files.create_directory(dir / "d"));
    expect(!files.create_directory(dir / "d"));
    expect(files.create_directory(dir / "no/d") == std::errc::no_such_file_or_directory);
    expect(files.create_directory(dir / "a") == std::errc::file_exists);
    expect(names_in(dir / "d").empty());
    make(dir / "d/a", "a");
    make(dir / "d/b", "b");
    expect(!files.rename(dir / "d/a", dir / "d/b"));
    expect(!files.sync_directory(dir / "d"));
    expect(files.sync_directory(dir / "none") == std::errc::no_such_file_or_directory);
    // The journal in "//server/share" syncs the directory above it.
    expect(!files.sync_directory("//server"));
    expect(names_in(dir / "d") == std::set<std::string>{"b"});
    expect(text_at(dir / "d/b") == "a");
    expect(files.rename(dir / "d/a", dir / "d/c") == std::errc::no_such_file_or_directory);
    expect(!files.remove(dir / "d/b"));
    expect(files.remove(dir / "d/b") == std::errc::no_such_file_or_directory);
    expect(files.list(dir / "none").error() == std::errc::no_such_file_or_directory);
    // Only files are opened.
    const auto opened = files.open(dir / "d", OpenMode::write);
    expect(opened.error() == std::errc::is_a_directory);
    expect(files.lock(dir / "d").error() == std::errc::is_a_directory);
    expect(!!files.remove(dir / "d"));
    expect(files.open("NUL", OpenMode::write).error() == QueueErrc::foreign_file);
}

void open_files_may_be_renamed_replaced_and_removed(const WindowsDirectory& dir) {
    make(dir / "open", "old");
    auto old = files.open(dir / "open", OpenMode::write);
    demand(old.has_value());
    expect(!files.rename(dir / "open", dir / "moved"));
    expect(text_at(dir / "moved") == "old");
    auto fresh = files.open(dir / "moved", OpenMode::replace);
    demand(fresh.has_value());
    expect(!fresh->write(0, as_bytes("new")));
    expect(text_of(*old) == "old" && text_at(dir / "moved") == "new");
    expect(*old->identity() != *files.identity(dir / "moved"));
    expect(!old->write(0, as_bytes("OLD")) && text_of(*old) == "OLD");
    expect(!files.remove(dir / "moved"));
    expect(text_of(*fresh) == "new");
    expect(files.identity(dir / "moved").error() == std::errc::no_such_file_or_directory);
    make(dir / "moved", "newest");
    expect(text_at(dir / "moved") == "newest" && text_of(*fresh) == "new");
    { const auto closed = std::move(*old); }
    { const auto closed = std::move(*fresh); }
    for (const std::string& name : names_in(dir.path())) {
        expect(name.find(".removed-") == name.npos);
    }
}

void identities_distinguish_files(const WindowsDirectory& dir) {
    make(dir / "one", "same");
    make(dir / "two", "same");
    auto one = files.open(dir / "one", OpenMode::write);
    demand(one.has_value());
    const auto identity = *one->identity();
    expect(*files.identity(dir / "one") == identity);
    expect(*files.identity(dir / "two") != identity);
    expect(!files.rename(dir / "one", dir / "three"));
    expect(*files.identity(dir / "three") == identity && *one->identity() == identity);
    expect(*files.open(dir / "three", OpenMode::read)->identity() == identity);
    expect(files.identity(dir / "one").error() == std::errc::no_such_file_or_directory);
    expect(files.identity(dir / "none/one").error() == std::errc::no_such_file_or_directory);
    expect(files.identity(dir / "").has_value());
}

void a_lock_file_is_locked_once(const WindowsDirectory& dir) {
    {
        auto first = files.lock(dir / "lock");
        demand(first.has_value());
        expect(files.lock(dir / "lock").error() == QueueErrc::already_locked);
        expect(Child{"lock \"" + (dir / "lock") + "\""}.end() == 2);
        const auto moved = std::move(*first);
        expect(files.lock(dir / "lock").error() == QueueErrc::already_locked);
        DWORD flags = 0;
        ::GetHandleInformation(moved.get(), &flags);
        expect((flags & HANDLE_FLAG_INHERIT) == 0);
    }
    expect(files.lock(dir / "lock").has_value());
    Child holder{"lock \"" + (dir / "lock") + "\""};
    char told = 0;
    expect(holder.next(told) && told == 'y');
    expect(files.lock(dir / "lock").error() == QueueErrc::already_locked);
    expect(holder.kill() == Child::killed);
    expect(files.lock(dir / "lock").has_value());
    expect(files.lock(dir / "none/lock").error() == std::errc::no_such_file_or_directory);
}
/// The second process of the test above.
int hold_lock(const std::string& path) {
    const auto held = files.lock(path);
    if (!held) return held.error() == QueueErrc::already_locked ? 2 : 3;
    report_to_parent('y');
    ::Sleep(20'000);
    return 4;
}

void a_file_is_locked_until_it_is_closed(const WindowsDirectory& dir) {
    make(dir / "locked", "text");
    auto first = files.open(dir / "locked", OpenMode::write);
    auto second = files.open(dir / "locked", OpenMode::write);
    demand(first && second);
    expect(!first->lock());
    expect(!first->lock());
    expect(second->lock() == QueueErrc::already_locked);
    // Other handles read and write at the same time.
    expect(text_at(dir / "locked") == "text");
    expect(!second->write(0, as_bytes("TEXT")) && text_of(*first) == "TEXT");
    { const auto closed = std::move(*first); }
    expect(!second->lock());
}

void other_programs_may_keep_a_file_to_themselves(const WindowsDirectory& dir) {
    make(dir / "theirs", "text");
    {
        const Handle theirs = foreign_handle(dir / "theirs", 0);
        demand(static_cast<bool>(theirs));
        const auto busy = std::errc::device_or_resource_busy;
        expect(files.open(dir / "theirs", OpenMode::read).error() == busy);
        expect(files.lock(dir / "theirs").error() == QueueErrc::already_locked);
        expect(files.remove(dir / "theirs") == busy);
        expect(files.rename(dir / "theirs", dir / "ours") == busy);
        expect(files.identity(dir / "theirs").has_value());
    }
    expect(text_at(dir / "theirs") == "text");
}

void paths_may_be_long_and_in_any_script(const WindowsDirectory& dir) {
    const std::string name = "\xC3\xA4\xE6\x97\xA5\xF0\x9F\x93\x93";  // one of each length
    make(dir / name, "unicode");
    expect(text_at(dir / name) == "unicode" && names_in(dir.path()).contains(name));
    std::string path = dir.path();
    std::vector<std::string> made;
    for (int i = 0; i < 6; ++i) {
        made.push_back(path += '/' + std::string(80, static_cast<char>('a' + i)));
        expect(!files.create_directory(path));
    }
    expect(path.size() > 480);
    make(path + "/file", "long");
    expect(text_at(path + "/file") == "long");
    expect(names_in(path) == std::set<std::string>{"file"});
    expect(!files.rename(path + "/file", path + "/other") && !files.remove(path + "/other"));
    expect(!files.sync_directory(path));
    for (; !made.empty(); made.pop_back()) {
        const WidePath wide{made.back()};
        expect(::RemoveDirectoryW(wide.get()) != 0);  // <filesystem> cannot remove it
    }
    const auto invalid = std::errc::illegal_byte_sequence;
    expect(files.open(dir / "\xFF", OpenMode::write).error() == invalid);
    expect(files.open(std::string{"a\0b", 3}, OpenMode::write).error() ==
           std::errc::invalid_argument);
    expect(files.open("", OpenMode::write).error() == std::errc::no_such_file_or_directory);
    expect(files.identity("").error() == std::errc::no_such_file_or_directory);
    expect(!!files.open(std::string(40'000, 'a'), OpenMode::write).error());
    expect(files.open(std::string(100'000, 'a'), OpenMode::write).error() ==
           std::errc::filename_too_long);
}

void absolute_paths_do_not_depend_on_the_working_directory(const WindowsDirectory& dir) {
    make(dir / "here", "text");
    std::wstring before(1024, L'\0');
    before.resize(::GetCurrentDirectoryW(1024, before.data()));
    const WidePath wide{dir.path()};
    demand(::SetCurrentDirectoryW(wide.get()) != 0);
    const auto full = files.absolute("here");
    demand(full.has_value());
    expect(text_at("here") == "text" && text_at(".\\here") == "text");
    // The parent path of "C:/outbox" is "C:", and not the working directory of that drive.
    const std::string drive = full->substr(0, 2);
    expect(*files.absolute(drive) == drive + '/');
    expect(*files.identity(drive) == *files.identity(drive + '/'));
    ::SetCurrentDirectoryW(before.c_str());
    expect(text_at(*full) == "text" && full->find('\\') == full->npos);
    expect(*files.absolute(*full) == *full);
}

void long_paths_have_the_prefix_that_lifts_the_limit() {
    const auto wide = [](const std::string& path) {
        const WidePath converted{path};
        demand(!converted.error());
        return windows::detail::narrow(converted.get());
    };
    const std::string name(250, 'n');
    expect(wide("C:/a/b") == "C:\\a\\b");
    expect(wide("C:/" + name) == "\\\\?\\C:\\" + name);
    expect(wide("//server/share/" + name) == "\\\\?\\UNC\\server\\share\\" + name);
    expect(wide("\\\\?\\C:\\" + name) == "\\\\?\\C:\\" + name);
}

void no_error_of_windows_is_taken_for_another() {
    using windows::detail::win32_code;
    for (unsigned long code = 1; code < 20'000; ++code) {
        const std::error_code error = win32_code(code);
        const bool is_full = code == ERROR_DISK_FULL || code == ERROR_HANDLE_DISK_FULL ||
                             code == ERROR_FILE_TOO_LARGE || code == 1295;
        if (is_full != belay::detail::is_lack_of_space(error)) expect(false);
        if (!error) expect(false);
    }
    expect(win32_code(ERROR_SECTOR_NOT_FOUND) == std::errc::io_error);
    expect(win32_code(ERROR_CRC) == std::errc::io_error);
    expect(win32_code(ERROR_DISK_FULL) == std::errc::no_space_on_device);
    expect(win32_code(ERROR_ACCESS_DENIED) == std::errc::permission_denied);
    expect(win32_code(ERROR_TOO_MANY_OPEN_FILES) == std::errc::too_many_files_open);
}

void time_goes_on_while_others_run() {
    const Instant begin = files.now();
    while (files.now() == begin) files.yield();
    expect(files.now() > begin);
}

}  // namespace

int main(int count, char** words) {
    if (count == 3 && std::string{words[1]} == "lock") return hold_lock(words[2]);
    {
        const WindowsDirectory dir{"files"};
        reads_what_was_written(dir);
        preallocates_zeros(dir);
        names_lists_and_removes(dir);
        open_files_may_be_renamed_replaced_and_removed(dir);
        identities_distinguish_files(dir);
        a_lock_file_is_locked_once(dir);
        a_file_is_locked_until_it_is_closed(dir);
        other_programs_may_keep_a_file_to_themselves(dir);
        paths_may_be_long_and_in_any_script(dir);
        absolute_paths_do_not_depend_on_the_working_directory(dir);
        long_paths_have_the_prefix_that_lifts_the_limit();
        no_error_of_windows_is_taken_for_another();
        time_goes_on_while_others_run();
    }
    return exit_code();
}
