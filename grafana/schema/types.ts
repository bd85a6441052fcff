// The types that check.mjs makes schemas of, under the names it knows them by. By their files: what the package exports are
// looser ones, for its own editor.

import type { DataQuery } from "./node_modules/@grafana/schema/dist/esm/common/common.gen";
import type * as stat from "./node_modules/@grafana/schema/dist/esm/raw/composable/stat/panelcfg/x/StatPanelCfg_types.gen";
import type * as timeseries from "./node_modules/@grafana/schema/dist/esm/raw/composable/timeseries/panelcfg/x/TimeSeriesPanelCfg_types.gen";
import type * as dashboard from "./node_modules/@grafana/schema/dist/esm/raw/dashboard/x/dashboard_types.gen";

export type DashboardFile = dashboard.Dashboard;
export type StatOptions = stat.Options;
export type TimeSeriesOptions = timeseries.Options;
export type TimeSeriesField = timeseries.FieldConfig;

// Grafana's package has a type for every data source's query but Prometheus', which is kept beside that data source.
export interface Query extends DataQuery {
  editorMode: "code" | "builder";
  expr: string;
  legendFormat: string;
  range: boolean;
}
