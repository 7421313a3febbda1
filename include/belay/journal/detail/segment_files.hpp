// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/segment_files.hpp
/// SegmentFiles: makes segment files so that one that has its name is whole, and deletes them.
#pragma once

#include <string>   // std::string
#include <utility>  // std::move

#include <belay/journal/detail/file_advice.hpp>
#include <belay/journal/detail/file_window.hpp>
#include <belay/journal/detail/record_buffer.hpp>
#include <belay/journal/detail/segment_index.hpp>
#include <belay/journal/file_system_like.hpp>
#include <belay/queue/queue_errc.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// An error by which a file was not found, as a journal says it: its files were there.
[[nodiscard]] inline std::error_code displaced_if_gone(const std::error_code& error) noexcept {
    const bool gone =
        error == std::errc::no_such_file_or_directory || error == std::errc::not_a_directory;
    return gone ? make_error_code(QueueErrc::displaced) : error;
}

/// No error if a path leads to a file: what is written to any other place nobody finds again.
///
/// Errors: displaced; those of looking.
template <class FileSystem>
[[nodiscard]] std::error_code look_for(FileSystem& fs, const std::string& path,
                                       const FileIdentity& file) noexcept {
    const Result<FileIdentity> there = fs.identity(path);
    if (!there) return displaced_if_gone(there.error());
    return *there == file ? std::error_code{} : make_error_code(QueueErrc::displaced);
}

/// An open file, and the name by which the next opening has to find it.
template <class S>
class PlacedFile {
public:
    using FileSystem = S;
    using File = typename S::File;

    PlacedFile(FileSystem& fs, File file, const FileIdentity& identity, std::string path) noexcept
        : fs_{&fs}, file_{std::move(file)}, path_{std::move(path)}, identity_{identity} {}

    /// As `look_for`.
    [[nodiscard]] std::error_code look() const noexcept { return look_for(*fs_, path_, identity_); }
    [[nodiscard]] Result<std::size_t> read(std::uint64_t offset,
                                           std::span<std::byte> into) const noexcept {
        return file_.read(offset, into);
    }
    [[nodiscard]] std::error_code write(std::uint64_t offset, BytesView from) noexcept {
        return file_.write(offset, from);
    }
    [[nodiscard]] std::error_code sync() noexcept { return file_.sync(); }
    /// The same, and how long it took, where the file system knows.
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

private:
    FileSystem* fs_;
    File file_;
    std::string path_;
    FileIdentity identity_;
};

/// Makes a file under another name, and moves it to its own when it is on the medium. Deletes none
/// that is not the journal's.
template <class FileSystem>
class SegmentFiles {
public:
    using File = typename FileSystem::File;

    [[nodiscard]] static std::string path_of(const std::string& directory, std::uint64_t index) {
        return directory + '/' + journal_format::segment_name(index);
    }

    /// The path by which a directory is found whatever the working directory becomes.
    static Result<std::string> absolute(FileSystem& fs, const std::string& path) {
        if constexpr (HasAbsolutePaths<FileSystem>) {
            return fs.absolute(path);
        } else {
            return path;
        }
    }
    /// The directory that has the name of another one.
    static std::string parent_of(const std::string& path) {
        const std::size_t end = path.find_last_not_of('/');
        const std::size_t slash = end == std::string::npos ? end : path.rfind('/', end);
        if (slash == std::string::npos) return ".";
        return slash == 0 ? "/" : path.substr(0, slash);
    }

    /// The file of a new segment, with its header and the kept note. Its name is not durable yet.
    ///
    /// `header.segment_bytes` and `made_bytes` become what they are. After an error there is no
    /// such file. Pre: nobody else makes a segment in this directory.   Throws: std::bad_alloc.
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

    /// Writes again what is not known to be on the medium: after a flush that failed, systems call
    /// clean in their memory what they have not written, and the next flush leaves it out.
    ///
    /// Without space it does without: what is there keeps its place on most file systems.
    static std::error_code write_again(File& file, const Segment& segment, FileWindow& window) {
        constexpr std::size_t piece = std::size_t{64} << 10;
        window.forget();
        for (std::uint64_t at = segment.durable; at < segment.end;) {
            const Result<BytesView> bytes = window.view(file, at, piece, segment.end);
            if (!bytes) return bytes.error();
            if (bytes->empty()) return std::make_error_code(std::errc::io_error);
            const std::error_code code = file.write(at, *bytes);
            if (code) return is_lack_of_space(code) ? std::error_code{} : code;
            at += bytes->size();
        }
        return {};
    }

    /// Deletes the files of `count` segments from `first` on, those that are there; the next call
    /// of sync_directory makes it durable.   Pre: the directory is the journal's.
    static std::error_code remove(FileSystem& fs, const std::string& directory, const Id& journal,
                                  std::uint64_t first, std::size_t count) {
        for (std::uint64_t index = first; index < first + count; ++index) {
            std::error_code error = find(fs, directory, journal, index);
            if (!error) error = fs.remove(path_of(directory, index));
            if (error && error != std::errc::no_such_file_or_directory) return error;
        }
        return {};
    }

    /// No error if the file that has a segment's name is one of the journal, damaged or not.
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
    static Result<File> write(FileSystem& fs, const std::string& path,
                              journal_format::SegmentHeader& header, BytesView note,
                              std::size_t bytes) {
        using namespace journal_format;
        Result<File> file = fs.open(path, OpenMode::replace);
        if (!file) return file;
        // As long as it is written to: whoever gets past the journal's lock, deleted perhaps, does
        // not get past this one.
        std::error_code error = file->lock();
        header.segment_bytes = 0;
        header.made_bytes = segment_header_bytes;
        RecordBuffer record{record_bytes(note_bytes_max)};
        if (!note.empty()) {
            RecordHeader h;
            h.kind = Kind::note;
            record.put(h, note, crc32c(note), record_seed(header.nonce, header.run));
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
