// SPDX-License-Identifier: MIT
/// \file tests/support/worlds/denied_disk.hpp
/// DeniedDisk: the disk of a host whose files cannot be opened, found, read or written for a
/// while.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include <belay/sim/disk.hpp>
#include <belay/sim/world.hpp>

namespace belay_test {

/// A disk whose calls fail as those of a process without descriptors, permissions or space. Nothing
/// that was written is lost. It outlives the processes of the host.
class DeniedDisk {
public:
    using Lock = belay::sim::Disk::Lock;

    class File : public belay::sim::Disk::File {
    public:
        File(belay::sim::Disk::File file, const DeniedDisk& disk) noexcept
            : belay::sim::Disk::File{std::move(file)}, disk_{&disk} {}
        [[nodiscard]] belay::Result<std::size_t> read(std::uint64_t offset,
                                                      std::span<std::byte> into) const noexcept {
            if (disk_->reads_) return disk_->reads_;
            return belay::sim::Disk::File::read(offset, into);
        }
        [[nodiscard]] std::error_code write(std::uint64_t offset, belay::BytesView from) noexcept {
            if (!disk_->writes_) return belay::sim::Disk::File::write(offset, from);
            const std::error_code error =
                belay::sim::Disk::File::write(offset, from.first(from.size() / 2));
            return error ? error : disk_->writes_;
        }

    private:
        const DeniedDisk* disk_;
    };

    explicit DeniedDisk(belay::sim::World& world) : world_{&world} {}
    /// Sets the disk, before a process uses this.
    DeniedDisk& over(belay::sim::Disk& disk) noexcept {
        disk_ = &disk;
        return *this;
    }

    /// Draws one to three times of denial, which begin within `within`. They end when the world is
    /// healed.
    void deny_at_times(belay::Duration within) {
        using namespace std::chrono_literals;
        const auto some = [this](std::string_view tag, belay::Duration most) {
            const auto count = static_cast<std::uint64_t>(most / 1ms);
            return std::chrono::milliseconds{static_cast<std::int64_t>(world_->choose(tag, count))};
        };
        for (std::uint64_t left = 1 + world_->choose("denials", 3); left != 0; --left) {
            const belay::Duration from =
                world_->chance("from the start", 30) ? 1ms : some("denied from", within);
            const belay::Duration lasts = some("denied for", 8s);
            const std::uint64_t kind = world_->choose("denial", 5);
            world_->at(from, [this, kind] { deny(kind); });
            world_->at(from + lasts, [this] { end(); });
        }
    }
    void end() noexcept { opens_ = looks_ = reads_ = writes_ = {}; }

    // ---- the file system ------------------------------------------------------------------------

    [[nodiscard]] belay::Result<File> open(const std::string& path, belay::OpenMode mode) noexcept {
        if (opens_) return opens_;
        auto file = disk().open(path, mode);
        if (!file) return file.error();
        return File{std::move(*file), *this};
    }
    [[nodiscard]] belay::Result<Lock> lock(const std::string& path) noexcept {
        if (opens_) return opens_;
        return disk().lock(path);
    }
    [[nodiscard]] belay::Result<std::array<std::uint64_t, 2>> identity(
        const std::string& path) const noexcept {
        if (looks_) return looks_;
        return disk().identity(path);
    }
    [[nodiscard]] std::error_code rename(const std::string& from, const std::string& to) noexcept {
        return looks_ ? looks_ : disk().rename(from, to);
    }
    [[nodiscard]] std::error_code remove(const std::string& path) noexcept {
        return looks_ ? looks_ : disk().remove(path);
    }
    [[nodiscard]] belay::Result<std::vector<std::string>> list(const std::string& path) const {
        if (opens_) return opens_;
        return disk().list(path);
    }
    [[nodiscard]] std::error_code create_directory(const std::string& path) noexcept {
        return looks_ ? looks_ : disk().create_directory(path);
    }
    /// Opens the directory, as posix::Files does.
    [[nodiscard]] std::error_code sync_directory(const std::string& path) noexcept {
        return opens_ ? opens_ : disk().sync_directory(path);
    }

private:
    [[nodiscard]] belay::sim::Disk& disk() const noexcept { return *disk_; }
    void deny(std::uint64_t kind) {
        switch (kind) {
            case 0:
                opens_ = std::make_error_code(std::errc::too_many_files_open);
                return;
            case 1:
                opens_ = looks_ = std::make_error_code(std::errc::permission_denied);
                return;
            case 2:
                opens_ = looks_ = reads_ = std::make_error_code(std::errc::io_error);
                return;
            case 3:
                // The file system writes each byte to a new place, so that reserving does not help.
                writes_ = std::make_error_code(std::errc::no_space_on_device);
                return;
            default:
                opens_ = looks_ = std::make_error_code(std::errc::not_enough_memory);
        }
    }

    belay::sim::World* world_;
    belay::sim::Disk* disk_ = nullptr;
    std::error_code opens_{};
    std::error_code looks_{};
    std::error_code reads_{};
    std::error_code writes_{};
};
static_assert(belay::FileSystemLike<DeniedDisk>);

}  // namespace belay_test
