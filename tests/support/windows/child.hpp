// SPDX-License-Identifier: MIT
/// \file tests/support/windows/child.hpp
/// Child: a second process of this program, which its parent reads from and kills.
#pragma once

#include <cstdint>
#include <string>
#include <type_traits>

#include <belay/windows/detail/win32.hpp>
#include "support/windows/expect.hpp"

namespace belay_test {

/// A process that runs this program with other arguments, and reports by its standard output.
class Child {
public:
    /// Pre: the arguments contain no quotation mark.
    explicit Child(const std::string& arguments) {
        SECURITY_ATTRIBUTES inherited{sizeof inherited, nullptr, TRUE};
        HANDLE reading = nullptr;
        HANDLE writing = nullptr;
        demand(::CreatePipe(&reading, &writing, &inherited, 0) != 0);
        reports_ = Handle{reading};
        const Handle given{writing};
        ::SetHandleInformation(reading, HANDLE_FLAG_INHERIT, 0);
        std::wstring program(1024, L'\0');
        program.resize(::GetModuleFileNameW(nullptr, program.data(), 1024));
        std::wstring command = L"\"" + program + L"\" ";
        for (const char c : arguments) command += static_cast<wchar_t>(c);
        STARTUPINFOW start{};
        start.cb = sizeof start;
        start.dwFlags = STARTF_USESTDHANDLES;
        start.hStdOutput = writing;
        PROCESS_INFORMATION made{};
        demand(::CreateProcessW(nullptr, command.data(), nullptr, nullptr, TRUE, 0, nullptr,
                                nullptr, &start, &made) != 0);
        process_ = Handle{made.hProcess};
        const Handle thread{made.hThread};
    }
    Child(const Child&) = delete;
    Child& operator=(const Child&) = delete;
    ~Child() { static_cast<void>(kill()); }

    /// Returns false when the child has ended and everything that it reported was read.
    template <class Report>
    [[nodiscard]] bool next(Report& report) {
        static_assert(std::is_trivially_copyable_v<Report>);
        auto* into = reinterpret_cast<char*>(&report);
        for (std::size_t done = 0; done < sizeof report;) {
            DWORD n = 0;
            const auto left = static_cast<DWORD>(sizeof report - done);
            if (::ReadFile(reports_.get(), into + done, left, &n, nullptr) == 0 || n == 0) {
                return false;
            }
            done += n;
        }
        return true;
    }
    /// Kills the child, and waits for its end.   Returns: its exit code.
    DWORD kill() {
        ::TerminateProcess(process_.get(), killed);
        return end();
    }
    /// Waits until the child ends.   Returns: its exit code.
    DWORD end() {
        ::WaitForSingleObject(process_.get(), INFINITE);
        DWORD code = 0;
        ::GetExitCodeProcess(process_.get(), &code);
        return code;
    }
    /// The exit code of a child that was killed.
    static constexpr DWORD killed = 77;

private:
    using Handle = belay::windows::detail::Handle;

    Handle reports_;
    Handle process_;
};

/// The stream of a child's reports. A report may be in several pieces only if the child is killed.
template <class Report>
void report_to_parent(const Report& report) {
    static_assert(std::is_trivially_copyable_v<Report>);
    DWORD n = 0;
    HANDLE const out = ::GetStdHandle(STD_OUTPUT_HANDLE);
    if (::WriteFile(out, &report, sizeof report, &n, nullptr) == 0 || n != sizeof report) {
        std::_Exit(99);
    }
}

}  // namespace belay_test
