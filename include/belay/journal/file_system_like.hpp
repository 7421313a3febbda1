// SPDX-License-Identifier: MIT
/// \file belay/journal/file_system_like.hpp
/// FileSystemLike: the calls with which a Journal uses a disk, real or simulated.
/// look_for, remove_if_there, sync_name: calls of a file system with one more meaning of an error.
#pragma once

#include <array>         // std::array
#include <concepts>      // std::same_as, std::movable
#include <cstddef>       // std::byte, std::size_t
#include <cstdint>       // std::uint8_t, std::uint64_t
#include <span>          // std::span
#include <string>        // std::string
#include <system_error>  // std::error_code
#include <vector>        // std::vector

#include <belay/core/bytes.hpp>
#include <belay/core/detail/member_names.hpp>
#include <belay/core/instant.hpp>
#include <belay/core/result.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI {

/// The way in which a file is opened.
enum class OpenMode : std::uint8_t {
    read,    ///< an existing file, to read only
    write,   ///< an existing file, to read and write
    replace  ///< a new file, which replaces what had the name, to read and write
};

namespace detail {

/// Returns an error for a path with a null: a system would read it up to there, as the path of
/// another file.
[[nodiscard]] inline std::error_code path_error(const std::string& path) noexcept {
    return path.find('\0') == path.npos ? std::error_code{}
                                        : std::make_error_code(std::errc::invalid_argument);
}

BELAY_DETAIL_MEMBER(yield);
BELAY_DETAIL_MEMBER(now);

/// Identifies a file independently of its names: on POSIX the device and the inode.
using FileIdentity = std::array<std::uint64_t, 2>;

template <class F>
concept FileCanReadAndWrite =
    requires(F& f, const F& c, std::uint64_t offset, std::span<std::byte> into, BytesView from) {
        { c.read(offset, into) } noexcept -> std::same_as<Result<std::size_t>>;
        { f.write(offset, from) } noexcept -> std::same_as<std::error_code>;
        { c.size() } noexcept -> std::same_as<Result<std::uint64_t>>;
    };
template <class F>
concept FileCanSync = requires(F& f) {
    { f.sync() } noexcept -> std::same_as<std::error_code>;
};
template <class F>
concept FileCanLock = requires(F& f) {
    { f.lock() } noexcept -> std::same_as<std::error_code>;
};
template <class S>
concept HasIdentities = requires(S& s, const typename S::File& file, const std::string& path) {
    { file.identity() } noexcept -> std::same_as<Result<FileIdentity>>;
    { s.identity(path) } noexcept -> std::same_as<Result<FileIdentity>>;
};
template <class F>
concept FileCanPreallocate = requires(F& f, std::uint64_t bytes) {
    { f.preallocate(bytes) } noexcept -> std::same_as<std::error_code>;
};
template <class S>
concept HasAbsolutePaths = requires(S& s, const std::string& path) {
    { s.absolute(path) } -> std::same_as<Result<std::string>>;
};
template <class S>
concept HasFile = requires { typename S::File; } && std::movable<typename S::File>;
template <class S>
concept HasOpen = HasFile<S> && requires(S& s, const std::string& path, OpenMode mode) {
    { s.open(path, mode) } noexcept -> std::same_as<Result<typename S::File>>;
};
template <class S>
concept HasLock = requires { typename S::Lock; } && std::movable<typename S::Lock> &&
                  requires(S& s, const std::string& path) {
                      { s.lock(path) } noexcept -> std::same_as<Result<typename S::Lock>>;
                  };
template <class S>
concept HasNames = requires(S& s, const std::string& path) {
    { s.rename(path, path) } noexcept -> std::same_as<std::error_code>;
    { s.remove(path) } noexcept -> std::same_as<std::error_code>;
    { s.list(path) } -> std::same_as<Result<std::vector<std::string>>>;
};
template <class S>
concept HasDirectories = requires(S& s, const std::string& path) {
    { s.create_directory(path) } noexcept -> std::same_as<std::error_code>;
    { s.sync_directory(path) } noexcept -> std::same_as<std::error_code>;
};

template <class S>
concept GivesWay = requires(S& s) {
    { s.yield() } noexcept -> std::same_as<void>;
    { s.now() } noexcept -> std::same_as<Instant>;
};
// One of them alone, or with another signature, would be ignored without a diagnostic.
template <class S>
concept GivingWayIsSound = GivesWay<S> || (!has_yield<S> && !has_now<S>);

}  // namespace detail

/// The requirements for a file system.
///
/// Paths are text with '/' between names. If the last name in the path of a file is a link, the
/// link is not followed. Only files are opened. A path with a null is an error: invalid_argument.
///
/// Semantics that the compiler cannot check:
/// - `File::read(offset, into)` fills `into`. It reads fewer bytes only at the end of the file.
/// - `File::write(offset, from)` writes everything or fails. After a failure any part of it may be
///   in the file, and nothing outside of it has changed.
/// - `File::sync()` returns when the file's bytes, and the size needed to read them, are on the
///   medium. After it failed, everything written since the last success may be lost for good.
/// - `File::preallocate(bytes)`, optional: the file is at least that long, later writes below that
///   need no new space, and unwritten bytes read as zero.
/// - `File::lock()` holds an exclusive lock on the file until it is closed or the process dies. If
///   another open file holds it, also of this very process, it returns QueueErrc::already_locked.
/// - `File::identity()` and `identity(path)` are equal if the path leads to this very file, and not
///   to a copy. The identities of two files that exist at the same time differ.
/// - Destroying a File closes it. Bytes that were not synced are not synced by closing.
/// - `lock(path)` creates the file if it is missing, and holds an exclusive lock on it until the
///   Lock is destroyed or the process dies. If it is held already, also by this very process, it
///   returns QueueErrc::already_locked.
/// - `open` with OpenMode::replace makes a new file. If the file before is still open somewhere, it
///   stays unchanged there.
/// - `rename` replaces an existing target in one step. `list` returns the names of the files in a
///   directory, in any order. `create_directory` succeeds if the directory exists.
/// - `absolute(path)`, optional: returns a path to the same place that does not depend on the
///   working directory.
/// - `yield()` and `now()`, optional, both or none, from any thread: `yield` lets other threads run
///   for a moment. `now` returns a steady time, which goes on meanwhile. With them a journal waits
///   a little before a flush for the threads that were in the last one.
/// - Names that were created, renamed or removed survive a crash after `sync_directory` has
///   returned.
template <class S>
concept FileSystemLike =
    detail::HasFile<S> && detail::FileCanReadAndWrite<typename S::File> &&
    detail::FileCanSync<typename S::File> && detail::FileCanLock<typename S::File> &&
    detail::HasIdentities<S> && detail::HasOpen<S> && detail::HasLock<S> && detail::HasNames<S> &&
    detail::HasDirectories<S> && detail::GivingWayIsSound<S>;

namespace explain {

/// Names every requirement of FileSystemLike that S lacks.
template <class S>
consteval bool file_system_like() {
    static_assert(detail::HasFile<S>, "FileSystemLike: S needs a movable type 'File'");
    if constexpr (detail::HasFile<S>) {
        static_assert(detail::FileCanReadAndWrite<typename S::File>,
                      "FileSystemLike: S::File needs 'read', 'write' and 'size', all noexcept; see "
                      "docs/reference/journal.md");
        static_assert(detail::FileCanSync<typename S::File>,
                      "FileSystemLike: S::File needs 'sync() noexcept -> std::error_code'");
        static_assert(detail::FileCanLock<typename S::File>,
                      "FileSystemLike: S::File needs 'lock() noexcept -> std::error_code'");
        static_assert(detail::HasIdentities<S>,
                      "FileSystemLike: S needs 'identity(const std::string&)' and S::File "
                      "'identity() const', both noexcept -> Result<std::array<std::uint64_t, 2>>");
        static_assert(detail::HasOpen<S>,
                      "FileSystemLike: S needs 'open(const std::string&, OpenMode) noexcept -> "
                      "Result<File>'");
    }
    static_assert(detail::HasLock<S>,
                  "FileSystemLike: S needs a movable type 'Lock' and 'lock(const std::string&) "
                  "noexcept -> Result<Lock>'");
    static_assert(detail::HasNames<S>,
                  "FileSystemLike: S needs 'rename', 'remove' (noexcept -> std::error_code) and "
                  "'list -> Result<std::vector<std::string>>'");
    static_assert(detail::HasDirectories<S>,
                  "FileSystemLike: S needs 'create_directory' and 'sync_directory', both noexcept "
                  "-> std::error_code");
    static_assert(detail::GivingWayIsSound<S>,
                  "FileSystemLike: S needs both 'yield() noexcept -> void' and 'now() noexcept -> "
                  "Instant', or neither");
    return FileSystemLike<S>;
}

}  // namespace explain

namespace detail {

/// Converts the error of a missing file: for a journal it means that its files were moved.
[[nodiscard]] inline std::error_code displaced_if_gone(const std::error_code& error) noexcept {
    const bool gone =
        error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
    return gone ? make_error_code(QueueErrc::displaced) : error;
}

/// Returns no error if a path leads to a file. If it does not, the next opening would not find what
/// is written to that file.
///
/// Errors: displaced; those of looking.
template <class FileSystem>
[[nodiscard]] std::error_code look_for(FileSystem& fs, const std::string& path,
                                       const FileIdentity& file) noexcept {
    const Result<FileIdentity> there = fs.identity(path);
    if (!there) return displaced_if_gone(there.error());
    return *there == file ? std::error_code{} : make_error_code(QueueErrc::displaced);
}

/// Removes a file. A missing one is no error: a network file system may have repeated the call
/// after it took effect.
template <class FileSystem>
[[nodiscard]] std::error_code remove_if_there(FileSystem& fs, const std::string& path) noexcept {
    const std::error_code error = fs.remove(path);
    return error == std::errc::no_such_file_or_directory ? std::error_code{} : error;
}

/// Syncs the directory that contains another one. One that this process may not open counts as one
/// that cannot be synced: the new name in it is as durable as the file system makes it by itself.
///
/// Pre: `directory` is an absolute path if the file system has those.   Throws: std::bad_alloc.
template <class FileSystem>
[[nodiscard]] std::error_code sync_name(FileSystem& fs, const std::string& directory) {
    const std::size_t end = directory.find_last_not_of('/');
    const std::size_t slash = end == directory.npos ? end : directory.rfind('/', end);
    const bool has_parent = slash != directory.npos && slash != 0;
    const std::error_code error = fs.sync_directory(has_parent ? directory.substr(0, slash)
                                                    : directory[0] == '/' ? "/"
                                                                          : ".");
    return error == std::errc::permission_denied ? std::error_code{} : error;
}

}  // namespace detail

}}  // namespace belay
