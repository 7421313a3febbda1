// SPDX-License-Identifier: MIT
/// \file belay/posix.hpp
/// All of belay that needs a POSIX system: descriptors, sockets and files.
#pragma once

#include <belay/drive/posix/endpoint.hpp>
#include <belay/drive/posix/files.hpp>
#include <belay/drive/posix/journal.hpp>
#include <belay/drive/posix/listener.hpp>
#include <belay/drive/posix/loop.hpp>
#include <belay/drive/posix/poller.hpp>
#include <belay/drive/posix/tcp.hpp>
