// SPDX-License-Identifier: MIT
/// \file belay/journal/detail/journal_recovery.hpp
/// JournalRecovery: reads the files that a crash, or an orderly end, left in a journal's directory.
#pragma once

#include <optional>     // std::optional
#include <string>       // std::string
#include <string_view>  // std::string_view

#include <belay/core/order.hpp>
#include <belay/journal/detail/journal_log.hpp>

namespace belay { inline namespace BELAY_ABI { namespace detail {

/// Returns the versions if a segment's header has another one; else nothing.
[[nodiscard]] inline std::string words_of(BytesView header) {
    if (!as_text(header).starts_with(journal_format::magic) || header.size() < 12) return {};
    const auto version = load_le<std::uint32_t>(header.data() + 8);
    if (version == journal_format::version) return {};
    return version_text(version, journal_format::version);
}

/// Opens or creates the files of a journal.
///
/// It changes nothing until it has read everything and found it complete, or the trace of a crash.
template <class FileSystem>
class JournalRecovery {
public:
    using File = typename FileSystem::File;
    using Log = JournalLog<FileSystem>;
    using Files = SegmentFiles<FileSystem>;

    JournalRecovery(FileSystem& fs, const std::string& path, const JournalOptions& options)
        : fs_{fs}, path_{path}, options_{options} {}

    /// Returns the writing side, with its own run begun; or null, and then `error` gives the
    /// reason.
    detail::Ref<Log> open() {
        if (!prepare() || !(indices_.empty() ? create() : read_all()) || !is_in_place() ||
            !end_roll()) {
            return {};
        }
        return start();
    }

    /// Returns whether `open` would accept the files; if not, `error` gives the reason. Changes
    /// nothing.
    ///
    /// Pre: no other function of this object is called.
    bool look() {
        mode_ = OpenMode::read;
        return list() && !indices_.empty() && read_all();
    }

    JournalError error;
    JournalReport report;
    Gathered gathered;

private:
    bool fail(std::error_code code, const std::string& path, std::uint64_t offset = 0,
              std::string_view what = {}) {
        error = {code, path, offset, std::string{what}};
        return false;
    }
    std::string path_of(std::uint64_t index) const {
        return path_ + '/' + journal_format::segment_name(index);
    }
    std::uint64_t seed() const noexcept { return options_.seed ? options_.seed->value : entropy(); }
    /// Takes the lock, and lists the segments.
    bool prepare() {
        if (const std::string_view wrong = options_.check(); !wrong.empty())
            return fail(make_error_code(QueueErrc::bad_options), path_, 0, wrong);
        Result<std::string> directory = Files::absolute(fs_, path_);
        if (!directory) return fail(directory.error(), path_);
        directory_ = std::move(*directory);
        if (options_.create) {
            if (const std::error_code code = fs_.create_directory(path_)) {
                return fail(code, path_);
            }
        }
        const std::string lock_path = path_ + '/' + std::string{journal_format::lock_name};
        Result<typename FileSystem::Lock> lock = fs_.lock(lock_path);
        const bool none = lock.error() == std::errc::no_such_file_or_directory;
        if (none && !options_.create) return fail(lock.error(), path_, 0, "there is no journal");
        if (!lock) return fail(lock.error(), lock_path);
        lock_.emplace(std::move(*lock));
        return list();
    }
    bool list() {
        Result<std::vector<std::string>> names = fs_.list(path_);
        if (!names) return fail(names.error(), path_);
        for (const std::string& name : *names) {
            if (const std::uint64_t i = journal_format::segment_index(name)) add_index(i);
            unfinished_ = unfinished_ || name == journal_format::unfinished_name;
        }
        return true;
    }
    // Sorted on insertion, because the file system lists names in any order.
    void add_index(std::uint64_t index) {
        const std::size_t place =
            first_after(indices_, [index](std::uint64_t other) { return other < index; });
        indices_.insert(indices_.begin() + static_cast<std::ptrdiff_t>(place), index);
    }

    /// Creates the first segment of a new journal.
    bool create() {
        if (!options_.create) {
            return fail(std::make_error_code(std::errc::no_such_file_or_directory), path_, 0,
                        "there is no journal");
        }
        bits_ = Random{Seed{seed()}};
        Segment s;
        s.header.journal = make_id(bits_);
        s.header.index = 1;
        s.header.first = 1;
        s.header.check = s.check = journal_format::first_check(s.header.journal);
        s.header.run = 1;
        s.header.salt = static_cast<std::uint32_t>(bits_());
        s.header.nonce = static_cast<std::uint32_t>(bits_());
        s.end = journal_format::segment_header_bytes;
        Result<File> file = Files::make(fs_, path_, s.header, {}, options_.segment_bytes);
        std::error_code code = file.error();
        if (!code) code = fs_.sync_directory(path_);
        if (code) return fail(code, path_of(1));
        if (!sync_name()) return false;
        code = s.know_file(*file);
        if (code) return fail(code, path_of(1));
        gathered.enter(s.header);
        segments_.push_back(std::move(s));
        file_.emplace(std::move(*file));
        report.created = true;
        return true;
    }

    bool sync_name() {
        const std::error_code code = detail::sync_name(fs_, directory_);
        return !code || fail(code, path_, 0, "the directory above it could not be synced");
    }

    /// A segment's file, and the content of its header.
    struct Opened {
        Segment segment;
        std::optional<File> file;
        std::uint64_t bytes = 0;
    };

    bool read_all() {
        set_apart_remains();
        while (!read_segments()) {
            if (!set_apart_unreadable()) return false;
        }
        const std::uint64_t first = segments_.front().header.first;
        // A change of segments that was given up leaves an unused last file. The file before it may
        // have more operations than its header states.
        const bool may_have_more = unread_.code && indices_.size() == 1 && unused_;
        if (first > gathered.acked + 1 || may_have_more) {
            if (unread_.code) {
                error = std::move(unread_);
                return false;
            }
            return fail(make_error_code(QueueErrc::corrupt), path_of(indices_.front() - 1), 0,
                        "the file is missing, and it had operations that were not acknowledged");
        }
        for (const ReleasedFile& file : remains_) {
            const std::error_code code =
                Files::find(fs_, path_, segments_.front().header.journal, file.index);
            if (code == QueueErrc::foreign_file) return fail(code, path_of(file.index));
        }
        return true;
    }

    bool read_segments() {
        Opened next;
        if (!open_segment(indices_.front(), next)) return false;
        for (std::size_t i = 0; i < indices_.size(); ++i) {
            Opened current = std::move(next);
            next = Opened{};
            const std::size_t behind = indices_.size() - i - 1;
            if (behind != 0 && !open_segment(indices_[i + 1], next)) return false;
            if (!follows(current.segment)) return false;
            if (!(behind != 0 && can_trust_seal(next, behind == 1) &&
                  scan_of(current).take_seal(next.segment.header)) &&
                !read_segment(current, behind == 0)) {
                return false;
            }
            file_ = std::move(current.file);
            segments_.push_back(std::move(current.segment));
            if (torn_ && options_.verify == Verify::skip_damage && skip_seal(next, behind)) {
                torn_ = false;
            } else if (torn_) {
                // Only the file of an unfinished roll may follow: complete, and without a record.
                if (behind != 1 || !is_unfinished_roll(next)) {
                    unread_index_ = indices_[i];
                    return fail(make_error_code(QueueErrc::corrupt), path_of(indices_[i]),
                                segments_.back().end,
                                "a later file continues where this file cannot be read");
                }
                stale_ = indices_.back();
                break;
            }
        }
        return true;
    }

    /// Sets apart the files up to one that is damaged or cannot be read. They are not needed if a
    /// later file shows that everything in them was acknowledged.
    bool set_apart_unreadable() {
        if (options_.verify == Verify::skip_damage && !trusts_seals_ &&
            error.code == QueueErrc::corrupt) {
            // Not before: until the next file has a record, a seal may be all that a crash left.
            trusts_seals_ = true;
            begin_again();
            return true;
        }
        const bool may_be_released = error.code == QueueErrc::corrupt ||
                                     error.code == std::errc::io_error ||
                                     error.code == std::errc::permission_denied ||
                                     error.code == std::errc::operation_not_permitted;
        if (unread_index_ == 0 || unread_index_ == indices_.back() || !may_be_released)
            return false;
        unread_ = std::move(error);
        while (indices_.front() <= unread_index_) {
            unread_files_.push_back({indices_.front()});
            indices_.erase(indices_.begin());
        }
        begin_again();
        return true;
    }
    void begin_again() {
        error = {};
        segments_.clear();
        gathered = {};
        torn_ = false;
        unread_index_ = 0;
    }

    /// Sets apart the files before a gap. A crash may have left any of the files that were being
    /// deleted.
    void set_apart_remains() {
        std::size_t first = indices_.size() - 1;
        while (first != 0 && indices_[first - 1] + 1 == indices_[first]) --first;
        for (std::size_t i = 0; i < first; ++i) remains_.push_back({indices_[i]});
        indices_.erase(indices_.begin(), indices_.begin() + static_cast<std::ptrdiff_t>(first));
    }
    /// They may stay if they cannot be deleted.
    void remove_remains() {
        if (remains_.empty()) return;
        static_cast<void>(
            Files::remove(fs_, path_, segments_.front().header.journal, remains_, false));
        static_cast<void>(fs_.sync_directory(path_));
    }

    /// Opens a segment, and reads its header.
    bool open_segment(std::uint64_t index, Opened& into) {
        using namespace journal_format;
        const std::string path = path_of(index);
        unread_index_ = index;
        Result<File> file = fs_.open(path, mode_);
        if (!file) return fail(file.error(), path);
        // A process that has the last one open wrote, or writes, to it: the lock file may have been
        // deleted.
        std::error_code code;
        if (mode_ == OpenMode::write) code = file->lock();
        if (code) return fail(code, path);
        Result<std::uint64_t> size = file->size();
        if (!size) return fail(size.error(), path);
        SegmentHeaderBytes bytes{};
        const Result<std::size_t> got = file->read(0, bytes);
        if (!got) return fail(got.error(), path);
        const Result<SegmentHeader> header = decode_segment_header({bytes.data(), *got});
        if (!header) {
            return fail(header.error(), path, 0,
                        *got < bytes.size() ? "the file is cut short" : words_of(bytes));
        }
        if (header->index != index) {
            return fail(make_error_code(QueueErrc::corrupt), path, 0,
                        "the file has the name of another file");
        }
        if (header->segment_bytes > segment_bytes_max) {
            return fail(make_error_code(QueueErrc::corrupt), path, 0,
                        "the file is larger than a segment can be");
        }
        if (header->segment_bytes > *size) {
            return fail(make_error_code(QueueErrc::corrupt), path, *size, "the file is cut short");
        }
        if ((code = into.segment.know_file(*file))) return fail(code, path);
        into.segment.header = *header;
        into.bytes = smaller<std::uint64_t>(*size, 2 * segment_bytes_max);
        into.file.emplace(std::move(*file));
        unread_index_ = 0;
        return true;
    }

    /// Returns whether a segment continues where the previous one ended.
    bool follows(const Segment& s) {
        if (s.header.first <= s.header.acked) {
            return fail(make_error_code(QueueErrc::corrupt), path_of(s.header.index), 0,
                        "the header acknowledges operations that do not exist");
        }
        if (!segments_.empty()) {
            const Segment& previous = segments_.back();
            if (s.header.journal != previous.header.journal) {
                return fail(make_error_code(QueueErrc::foreign_file), path_of(s.header.index), 0,
                            "the file belongs to another journal");
            }
            if (s.header.first != previous.last + 1 || s.header.check != previous.check ||
                s.header.run < gathered.run) {
                return fail(make_error_code(QueueErrc::corrupt), path_of(s.header.index), 0,
                            "the file does not continue where the previous file ends");
            }
        }
        gathered.enter(s.header);
        return true;
    }

    SegmentScan<File> scan_of(Opened& opened) {
        return {*opened.file, opened.bytes, opened.segment, gathered, window_};
    }

    /// Returns whether the seal before a segment proves the content before it.
    ///
    /// The sealed bytes are flushed together with their seal, and a crash may keep any part of
    /// them. The next segment gets its first record only after that flush.
    bool can_trust_seal(Opened& next, bool is_last) {
        return options_.verify != Verify::everything &&
               (!is_last || trusts_seals_ || is_used(next));
    }
    bool is_used(Opened& opened) {
        Gathered nothing;
        nothing.enter(opened.segment.header);
        return SegmentScan<File>{*opened.file, opened.bytes, opened.segment, nothing, window_}
            .is_used();
    }

    /// Reads all records of a segment. Afterwards `torn_` is true if it ends without a seal.
    bool read_segment(Opened& current, bool is_last) {
        const std::uint64_t index = current.segment.header.index;
        SegmentScan<File> scan = scan_of(current);
        ScanEnd end = scan.run();
        for (;; end = scan.resume()) {
            torn_ = !end.sealed && !end.error && !is_last;
            garbage_end_ = 0;
            torn_opening_ = false;
            if (end.sealed || end.error) break;
            scan.classify_tail(end);
            garbage_end_ = end.garbage_end;
            torn_opening_ = end.torn_opening;
            if (end.error != QueueErrc::corrupt || options_.verify != Verify::skip_damage) break;
            if (!scan.skip_damage()) break;
        }
        scan.end_gap();
        unused_ = end.empty;
        if (!end.error && end.sealed && is_last) {
            return fail(make_error_code(QueueErrc::corrupt), path_of(index + 1), 0,
                        "the file is missing, and the previous file refers to it");
        }
        if (end.error) {
            unread_index_ = index;
            return fail(end.error, path_of(index), current.segment.end, end.what);
        }
        return true;
    }

    /// Ends the last segment that was read where the next one begins, although its seal is damaged.
    bool skip_seal(Opened& next, std::size_t behind) {
        Segment& s = segments_.back();
        const std::uint64_t first = next.segment.header.first;
        if (first <= s.last || (behind == 1 && is_unfinished_roll(next))) return false;
        while (s.last + 1 < first) s.add(s.last + 1, s.end);
        s.check = next.segment.header.check;
        return true;
    }

    /// Returns whether a segment was created and never written to.
    bool is_unfinished_roll(Opened& opened) {
        Gathered nothing;
        nothing.enter(opened.segment.header);
        SegmentScan<File> scan{*opened.file, opened.bytes, opened.segment, nothing, window_};
        ScanEnd end = scan.run();
        if (!end.error && end.empty) scan.classify_tail(end);
        return !end.error && end.empty && end.garbage_end == 0 &&
               opened.segment.header.journal == segments_.front().header.journal;
    }

    /// Returns whether the name of the last file still leads to it, before anything is written.
    bool is_in_place() {
        const std::string path = Files::path_of(directory_, segments_.back().header.index);
        const std::error_code code = look_for(fs_, path, segments_.back().file);
        return !code || fail(code, path);
    }

    /// Completes a roll, or a creation, that the end of a process interrupted. It removes the files
    /// of the roll, or flushes the bytes that the first record has to wait for.
    bool end_roll() {
        if (unfinished_) {
            // The file may stay if it cannot be removed, because the next roll replaces it.
            static_cast<void>(
                fs_.remove(path_ + '/' + std::string{journal_format::unfinished_name}));
        }
        remove_remains();
        if (stale_ != 0) {
            std::error_code code = detail::remove_if_there(fs_, path_of(stale_));
            if (!code) code = fs_.sync_directory(path_);
            return !code || fail(code, path_of(stale_));
        }
        if (!unused_) return true;
        std::error_code code = fs_.sync_directory(path_);
        if (segments_.size() == 1) return code ? fail(code, path_) : sync_name();
        const std::string path = path_of(segments_[segments_.size() - 2].header.index);
        Result<File> sealed = fs_.open(path, OpenMode::write);
        if (!code) code = sealed.error();
        if (!code) {
            code = Files::write_again(*sealed, segments_[segments_.size() - 2], window_,
                                      report.unwritten_bytes);
        }
        if (!code) code = sealed->sync();
        return !code || fail(code, path);
    }

    /// Begins a run.
    detail::Ref<Log> start() {
        const std::string path = path_of(segments_.back().header.index);
        const std::uint64_t end = segments_.back().end;
        const std::uint64_t last = segments_.back().last;
        report.operations = last - gathered.acked;
        const std::uint64_t cut = torn_opening_ ? segments_.back().older_opening : end;
        const std::uint64_t cut_end =
            torn_opening_ ? cut + journal_format::record_bytes(4) : garbage_end_;
        if (cut_end > cut) {
            report.truncated_bytes = cut_end - cut;
            report.truncated_path = path;
            report.truncated_offset = cut;
        }
        if (!report.created) {
            // With one seed for all openings, each must still get its own salt.
            bits_ = Random{Seed{mix64(seed() + gathered.run)}};
        }
        if (gathered.run == ~std::uint32_t{0}) {
            fail(make_error_code(QueueErrc::queue_full), path, 0,
                 "the journal was opened 2^32 times");
            return {};
        }
        std::error_code code;
        if (!report.created) {
            code = Files::write_again(*file_, segments_.back(), window_, report.unwritten_bytes);
        }
        if (code) {
            fail(code, path, segments_.back().durable,
                 "the last operations could not be written to the new file");
            return {};
        }
        // Only now, because their acknowledgement may be in memory only before.
        remains_.insert(remains_.end(), unread_files_.begin(), unread_files_.end());
        const std::uint32_t run = gathered.run + 1;
        const auto salt = static_cast<std::uint32_t>(bits_());
        auto log = detail::Ref<Log>::make(
            fs_, std::move(directory_), options_,
            typename Log::Start{std::move(*lock_), std::move(*file_), std::move(segments_),
                                gathered, bits_, std::move(remains_)});
        if (!report.created) {
            code = log->begin_run({.number = run, .salt = salt}, garbage_end_);
            if (code) {
                fail(code, path, end, "the number of the new run could not be written");
                return {};
            }
            gathered.begin_run({last + 1, run, salt});
        }
        // Deletes the segments whose deletion a crash prevented; they may stay if that fails. They
        // must stay if a loss of power may take the acknowledgements that release them.
        if (report.unwritten_bytes == 0) static_cast<void>(log->release_acked());
        report.undeleted_files = log->undeleted_files();
        return log;
    }

    FileSystem& fs_;
    const std::string& path_;
    const JournalOptions& options_;
    std::string directory_;  // absolute, so it is independent of the working directory
    OpenMode mode_ = OpenMode::write;
    std::optional<typename FileSystem::Lock> lock_;
    std::optional<File> file_;            // the last segment
    std::vector<std::uint64_t> indices_;  // consecutive, up to the last
    std::vector<ReleasedFile> remains_;   // files that were being deleted
    std::vector<ReleasedFile>
        unread_files_;                // files that nothing needs, up to one that is unreadable
    JournalError unread_;             // why the last of them is; no code if there are none
    std::uint64_t unread_index_ = 0;  // index of a segment that could not be read; 0: none
    std::vector<Segment> segments_;
    FileWindow window_;
    Random bits_;
    std::uint64_t garbage_end_ = 0;
    std::uint64_t stale_ = 0;  // index of a segment that an unfinished roll left; 0: none
    bool torn_ = false;
    bool trusts_seals_ = false;
    bool torn_opening_ = false;
    bool unused_ = false;  // nothing was added to the last segment since it was created
    bool unfinished_ = false;
};

}}}  // namespace belay::detail
