// SPDX-License-Identifier: MIT
// Goal: a program without coroutines does not pay for <coroutine>. Method: the guards of libstdc++
// and libc++.
#include <belay/belay.hpp>
#include <belay/drive.hpp>

#if defined(_GLIBCXX_COROUTINE) || defined(_LIBCPP_COROUTINE)
#    error "belay/belay.hpp or belay/drive.hpp includes <coroutine>"
#endif
