// SPDX-License-Identifier: MIT
/// \file belay/metrics.hpp
/// Includes the whole component metrics: a page of numbers, and its text for Prometheus.
#pragma once

#include <belay/metrics/metric.hpp>
#include <belay/metrics/page.hpp>
