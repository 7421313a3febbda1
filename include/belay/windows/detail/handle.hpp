// SPDX-License-Identifier: MIT
/// \file belay/windows/detail/handle.hpp
/// Handle: owns a handle of an open file or directory.
#pragma once

#include <utility>  // std::exchange

#include <belay/windows/detail/win32.hpp>

namespace belay { inline namespace BELAY_ABI { namespace windows::detail {

/// Owns a handle; nullptr for none. Its destructor closes it.   Thread safety: distinct objects
/// safe.
class Handle {
public:
    Handle() noexcept = default;
    /// Takes what CreateFileW returned.
    explicit Handle(HANDLE handle) noexcept
        : handle_{handle == INVALID_HANDLE_VALUE ? nullptr : handle} {}
    Handle(Handle&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
    Handle& operator=(Handle&& other) noexcept {
        if (this != &other) {
            reset();
            handle_ = std::exchange(other.handle_, nullptr);
        }
        return *this;
    }
    ~Handle() { reset(); }

    [[nodiscard]] HANDLE get() const noexcept { return handle_; }
    [[nodiscard]] explicit operator bool() const noexcept { return handle_ != nullptr; }
    void reset() noexcept {
        if (handle_ != nullptr) ::CloseHandle(std::exchange(handle_, nullptr));
    }

private:
    HANDLE handle_ = nullptr;
};

}}}  // namespace belay::windows::detail
