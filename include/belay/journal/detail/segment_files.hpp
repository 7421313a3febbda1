// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_files.hpp
/// SegmentFiles: creates segment files that are complete as soon as they have their names, and
/// deletes them.
#pragma once

#include <string>   // std::string
#include <utility>  // std::move

#include <belay/journal/detail/file_advice.hpp>
#include <belay/journal/detail/file_place.hpp>
#include <belay/journal/detail/file_window.hpp>
#include <belay/journal/detail/record_buffer.hpp>
#include <belay/journal/detail/segment_index.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An open file, and the name by which the next opening must find it.
template <class S>
class PlacedFile {
public:
    using FileSystem = S;
    using File = typename S::File;

    PlacedFile(FileSystem& fs, File file, const FileIdentity& identity, std::string path) noexcept
        : fs_{&fs}, file_{std::move(file)}, path_{std::move(path)}, identity_{identity} {}

    /// Calls `look_for`.
    [[nodiscard]] std::error_code look() const noexcept { return look_for(*fs_, path_, identity_); }
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                           std::span<std::byte> into) const noexcept {
        return file_.read(offset, into);
    }
    [[nodiscard]] std::error_code write(std::uint64_t offset, BytesView from) noexcept {
        return file_.write(offset, from);
    }
    [[nodiscard]] std::error_code sync() noexcept { return file_.sync(); }
    /// The same, and measures how long it took if the file system has a clock.
    [[nodiscard]] std::error_code sync(Duration& taken) noexcept {
        if constexpr (GivesWay<S>) {
            const Instant begin = fs_->now();
            const std::error_code error = file_.sync();
            taken = elapsed(begin, fs_->now());
            return error;
        } else {
            return file_.sync();
        }
    }
    [[nodiscard]] FileSystem& file_system() const noexcept { return *fs_; }
    /// Closes the file, and opens it again.   Errors: as `look`; those of opening and locking.
    [[nodiscard]] std::error_code reopen() noexcept {
        Result<File> file = fs_->open(path_, OpenMode::write);
        if (!file) return displaced_if_gone(file.error());
        const Result<FileIdentity> identity = file->identity();
        if (!identity) return identity.error();
        if (*identity != identity_) return QueueErrc::displaced;
        file_ = std::move(*file);  // closes the former one, which has the lock
        return file_.lock();
    }

private:
    FileSystem* fs_;
    File file_;
    std::string path_;
    FileIdentity identity_;
};

/// Creates a file under another name, and renames it when it is on the medium. Deletes only files
/// of the journal.
template <class FileSystem>
class SegmentFiles {
public:
    using File = typename FileSystem::File;

    [[nodiscard]] static std::string path_of(const std::string& directory, std::uint64_t index) {
        return directory + '/' + journal_format::segment_name(index);
    }

    /// Returns a path that is independent of later changes of the working directory.
    static Result<std::string> absolute(FileSystem& fs, const std::string& path) {
        if constexpr (HasAbsolutePaths<FileSystem>) {
            return fs.absolute(path);
        } else {
            return path;
        }
    }
    /// Returns the directory that contains another one.
    static std::string parent_of(const std::string& path) {
        const std::size_t end = path.find_last_not_of('/');
        const std::size_t slash = end == std::string::npos ? end : path.rfind('/', end);
        if (slash == std::string::npos) return ".";
        return slash == 0 ? "/" : path.substr(0, slash);
    }

    /// Creates the file of a new segment, with its header and the kept note. Its name is not
    /// durable yet.
    ///
    /// Sets `header.segment_bytes` and `made_bytes` to their actual values. After an error there is
    /// no such file.
    /// Pre: no other thread creates a segment in this directory.   Throws: std::bad_alloc.
    static Result<File> make(FileSystem& fs, const std::string& directory,
                             journal_format::SegmentHeader& header, BytesView note,
                             std::size_t bytes) {
        const std::string unfinished =
            directory + '/' + std::string{journal_format::unfinished_name};
        const std::string path = path_of(directory, header.index);
        Result<File> file = write(fs, unfinished, header, note, bytes);
        std::error_code error = file.error();
        if (!error) error = fs.rename(unfinished, path);
        if (error) {
            static_cast<void>(fs.remove(unfinished));  // else the next opening removes it
            return error;
        }
        return file;
    }

    /// Writes again the bytes that are not known to be on the medium. After a failed flush, systems
    /// mark unwritten bytes in their memory as clean, and the next flush leaves them out.
    ///
    /// If there is no space, the function succeeds, and adds the bytes that it has not written to
    /// `unwritten`. Most file systems need no space for this, because existing bytes keep their
    /// place.
    static std::error_code write_again(File& file, const Segment& segment, FileWindow& window,
                                       std::uint64_t& unwritten) {
        constexpr std::size_t piece = std::size_t{64} << 10;
        window.forget();
        for (std::uint64_t at = segment.durable; at < segment.end;) {
            const Result<BytesView> bytes = window.view(file, at, piece, segment.end);
            if (!bytes) return bytes.error();
            if (bytes->empty()) return std::make_error_code(std::errc::io_error);
            const std::error_code code = file.write(at, *bytes);
            if (is_lack_of_space(code)) {
                unwritten += segment.end - at;
                return {};
            }
            if (code) return code;
            at += bytes->size();
        }
        return {};
    }

    /// Deletes files of the journal, and leaves in `files` those that could not be deleted. If
    /// `stops`, it tries no more of them after the first error. The next call of sync_directory
    /// makes the deletions durable.
    ///
    /// Returns the first error.   Pre: the directory is the journal's.
    static std::error_code remove(FileSystem& fs, const std::string& directory, const Id& journal,
                                  std::vector<ReleasedFile>& files, bool stops) {
        std::error_code first;
        std::size_t left = 0;
        for (const ReleasedFile file : files) {
            const bool tries = !stops || !first;
            const std::error_code error =
                tries ? remove(fs, directory, journal, file) : std::error_code{};
            if (!tries || error) files[left++] = file;
            if (!first) first = error;
        }
        files.resize(left);
        return first;
    }

    /// Returns no error if the file with a segment's name belongs to the journal, damaged or not.
    static std::error_code find(FileSystem& fs, const std::string& directory, const Id& journal,
                                std::uint64_t index) {
        using namespace journal_format;
        const Result<File> file = fs.open(path_of(directory, index), OpenMode::read);
        if (!file) return file.error();
        SegmentHeaderBytes bytes{};
        const Result<std::size_t> got = file->read(0, bytes);
        if (!got) return got.error();
        const Result<SegmentHeader> there = decode_segment_header({bytes.data(), *got});
        const bool own = there ? there->journal == journal : there.error() == QueueErrc::corrupt;
        return own ? std::error_code{} : make_error_code(QueueErrc::foreign_file);
    }

private:
    /// Deletes a file if it belongs to the journal. If its header cannot be read, it must be the
    /// very file that this process had opened.
    static std::error_code remove(FileSystem& fs, const std::string& directory, const Id& journal,
                                  const ReleasedFile& file) {
        const std::string path = path_of(directory, file.index);
        std::error_code error = find(fs, directory, journal, file.index);
        const bool is_known = error != QueueErrc::foreign_file && file.file != FileIdentity{};
        if (error && is_known && !look_for(fs, path, file.file)) error = {};
        if (!error) error = fs.remove(path);
        return error == std::errc::no_such_file_or_directory ? std::error_code{} : error;
    }
    static Result<File> write(FileSystem& fs, const std::string& path,
                              journal_format::SegmentHeader& header, BytesView note,
                              std::size_t bytes) {
        using namespace journal_format;
        Result<File> file = fs.open(path, OpenMode::replace);
        if (!file) return file;
        // Locked while it is written to. A process may pass the journal's own lock, for example
        // because its file was deleted, but it does not pass this one.
        std::error_code error = file->lock();
        header.segment_bytes = 0;
        header.made_bytes = segment_header_bytes;
        RecordBuffer record{record_bytes(note_bytes_max)};
        if (!note.empty()) {
            RecordHeader h;
            h.kind = Kind::note;
            record.put(h, note, part::crc32c(note), record_seed(header.nonce, header.run));
            header.made_bytes += static_cast<std::uint32_t>(record.size());
        }
        if constexpr (FileCanPreallocate<File>) {
            if (!error) error = file->preallocate(bytes);
            header.segment_bytes = static_cast<std::uint32_t>(bytes);
        }
        if (!error) error = file->write(0, encode(header));
        if (!error && !note.empty()) error = file->write(segment_header_bytes, record.bytes());
        if (!error) error = file->sync();
        if (error) return error;
        return file;
    }
};

}}}  // namespace belay::detail
